"""Connections to a unix socket that are used again.

docker-py keeps a pool of connections for each address, and means the whole address: with the id of
a container in it, nearly every request opens a connection of its own, and two dozen stay open
unused. Here all requests share one pool, which saves a third of a request's time.
"""

from __future__ import annotations

from typing import Any

import docker
from docker.transport import UnixHTTPAdapter

__all__ = ["share_connections"]

_ANYWHERE = "http+docker://localhost"


class _SharingAdapter(UnixHTTPAdapter):
    def get_connection(self, url: str, proxies: Any = None) -> Any:
        return super().get_connection(_ANYWHERE, proxies)


def share_connections(client: docker.DockerClient, host: str, timeout: float) -> None:
    """Let all requests of a client share their connections.

    Args:
        client: The client.
        host: Its address, ``unix://…``.
        timeout: How long one answer may take, in seconds.
    """
    path = host.removeprefix("unix://")
    replaced = client.api.get_adapter(_ANYWHERE)
    client.api.mount("http+docker://", _SharingAdapter(f"http+unix://{path}", timeout))
    replaced.close()
    # A third of a request's time would go into proxies and .netrc, which a socket has not.
    client.api.trust_env = False
