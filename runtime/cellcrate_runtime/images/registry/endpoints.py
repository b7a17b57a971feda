"""Where a registry answers: its addresses, in the order in which they are tried.

``docker.io`` is a name for people; its registry is at another host. A registry is spoken to over
TLS. Plain HTTP is for registries on this machine, whose traffic nobody else sees, and for those
that the user has named. Source: Docker's dockerd reference, "Insecure registries".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.settings import RegistrySettings

__all__ = ["DOCKER_HUB", "Endpoint", "endpoints", "is_loopback", "may_be_plain"]

DOCKER_HUB = "docker.io"
_DOCKER_HUB_REGISTRY = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a registry.

    Attributes:
        url: The beginning of its addresses, such as ``https://ghcr.io``, with no slash at its end.
        mirror: It has copies of what another registry has, and gets nobody's password.
    """

    url: str
    mirror: bool = False

    @property
    def host(self) -> str:
        """The host, with its port where that is not the usual one."""
        return urlsplit(self.url).netloc

    @property
    def plain(self) -> bool:
        """Whether it is used without TLS."""
        return self.url.startswith("http:")


def endpoints(domain: str, settings: RegistrySettings, *, mirrors: bool = True) -> list[Endpoint]:
    """The addresses of a registry, best first.

    Args:
        domain: As it stands in an image's name: ``docker.io``, ``localhost:5000``.
        mirrors: Whether copies are good enough, which they are for pulling.

    Raises:
        RegistryError: A mirror of the settings is no address that may be used.
    """
    host = _DOCKER_HUB_REGISTRY if domain == DOCKER_HUB else domain
    found = [Endpoint(f"https://{host}")]
    if may_be_plain(host, settings):
        found.append(Endpoint(f"http://{host}"))
    if mirrors and domain == DOCKER_HUB:
        found = [_mirror(url, settings) for url in settings.mirrors] + found
    return found


def _mirror(url: str, settings: RegistrySettings) -> Endpoint:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.netloc or parts.username is not None:
        raise RegistryError(
            f'"{url}", a registry mirror of daemon.json, is no address of one. '
            "It has to be like https://mirror.example.com"
        )
    if parts.scheme == "http" and not may_be_plain(parts.netloc, settings):
        raise RegistryError(
            f"the registry mirror {url} would be used without TLS. Use https, or add "
            f'"{parts.netloc}" to insecure-registries in daemon.json.'
        )
    return Endpoint(url.rstrip("/"), mirror=True)


def may_be_plain(netloc: str, settings: RegistrySettings) -> bool:
    """Whether a host, with or without its port, may be spoken to without TLS."""
    return is_loopback(netloc) or is_listed(netloc, settings.insecure)


def is_listed(netloc: str, listed: Iterable[str]) -> bool:
    """Whether a host is one of a list of hosts and networks."""
    address = _address(netloc)
    for item in listed:
        if item == netloc:
            return True
        if address is not None and "/" in item:
            try:
                if address in ipaddress.ip_network(item, strict=False):
                    return True
            except (ValueError, TypeError):
                continue  # what is no network names no host either
    return False


def is_loopback(netloc: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8, or ::1.

    Told by the name alone: what another name resolves to, others decide.
    """
    if urlsplit(f"//{netloc}").hostname == "localhost":
        return True
    address = _address(netloc)
    return address is not None and address.is_loopback


def _address(netloc: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return None
