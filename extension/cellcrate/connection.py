"""Which engine the cells talk to, and the one docker-py client that they share.

``CELLCRATE_HOST``, or else ``DOCKER_HOST`` with docker's own TLS variables, names any Docker Engine
API. Without either, Cellcrate's embedded engine of this user is started when it is first needed.
``CELLCRATE_HOST=embedded`` asks for it even where ``DOCKER_HOST`` is set for other programs.

docker-py takes half a second to import, so nothing here imports it before a client is asked for.
"""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellcrate.errors import EngineUnreachable

if TYPE_CHECKING:
    import docker

__all__ = ["Engine", "address", "answering_engine", "connect", "engine", "forget"]

EMBEDDED = "embedded"

#: How long one ordinary request may take, in seconds. Unpacking an image is part of some.
REQUEST_TIMEOUT = 180

#: How long completion may wait for an answer, in seconds.
QUICK_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that cells talk to.

    Attributes:
        client: docker-py's client for it.
        address: Where it listens, as DOCKER_HOST has it.
        embedded: Whether it is Cellcrate's own engine of this user, which can be started again.
    """

    client: docker.DockerClient
    address: str
    embedded: bool

    @property
    def api(self) -> Any:
        """docker-py's low-level client: one method a request."""
        return self.client.api


_lock = threading.RLock()
_engines: dict[str, Engine] = {}


def address() -> str:
    """Return the engine's address that the environment asks for; "" means the embedded one."""
    host = os.environ.get("CELLCRATE_HOST") or os.environ.get("DOCKER_HOST") or ""
    return "" if host == EMBEDDED else host


def engine() -> Engine:
    """Return the engine, started if it is the embedded one, with a client that is kept.

    Raises:
        EngineUnreachable: None answers, or the embedded engine cannot be started.
    """
    with _lock:
        host = address() or _start_embedded()
        known = _engines.get(host)
        if known is None:
            known = _engines[host] = connect(host, embedded=not address())
        return known


def _start_embedded() -> str:
    from cellcrate_runtime.activation import EngineStartError, ensure_engine

    try:
        return f"unix://{ensure_engine()}"
    except (EngineStartError, OSError) as error:
        raise EngineUnreachable(f"{error}\n%cellcrate doctor looks for the reason.") from None


def connect(host: str, *, embedded: bool = False, timeout: float = REQUEST_TIMEOUT) -> Engine:
    """Return an engine at an address, with a client of its own.

    Raises:
        EngineUnreachable: Nothing that speaks the Docker Engine API answers there.
    """
    import docker
    from docker.utils import kwargs_from_env

    from cellcrate.transport import share_connections

    try:
        _knock(host)
        settings = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": host})
        client = docker.DockerClient(**settings, timeout=timeout)
        if host.startswith("unix://"):
            share_connections(client, host, timeout)
    except Exception as error:
        raise EngineUnreachable(_no_answer(host, error)) from None
    return Engine(client=client, address=host, embedded=embedded)


def _knock(host: str) -> None:
    """Raise OSError if nobody listens on a unix socket; docker-py would leave its own one open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.connect(host.removeprefix("unix://"))


def _no_answer(host: str, error: Exception) -> str:
    variable = "CELLCRATE_HOST" if os.environ.get("CELLCRATE_HOST") else "DOCKER_HOST"
    return (
        f"No engine answers at {host}: {error}. Start it, or correct {variable}; without "
        "CELLCRATE_HOST and DOCKER_HOST, cells run in Cellcrate's own engine."
    )


def answering_engine() -> Engine | None:
    """Return the engine if it answers at once; never start one. For completion.

    A client that is already there is used; one at a distant address is not made, because that may
    take longer than a person wants to wait for a list of names.
    """
    from cellcrate_runtime.activation import is_answering
    from cellcrate_runtime.paths import Paths

    host = address() or f"unix://{Paths.from_environment().socket}"
    is_local = host.startswith("unix://")
    if is_local and not is_answering(Path(host.removeprefix("unix://")), QUICK_TIMEOUT):
        return None
    if not _lock.acquire(timeout=QUICK_TIMEOUT):
        return None
    try:
        known = _engines.get(host)
        if known is None and is_local:
            known = _engines[host] = connect(host, embedded=not address())
        return known
    except EngineUnreachable:
        return None
    finally:
        _lock.release()


def forget() -> None:
    """Close every client. The next cell connects anew."""
    with _lock:
        for known in _engines.values():
            known.client.close()
        _engines.clear()
