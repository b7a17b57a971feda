"""The ports of EXPOSE: ``80``, ``80/tcp``, ``8000-8010/udp``.

Source: the reference of the Dockerfile format, "EXPOSE", and Docker's go-connections/nat.
"""

from __future__ import annotations

from cellcrate_runtime.images.dockerfile.errors import DockerfileError

__all__ = ["exposed_ports"]

_PROTOCOLS = ("tcp", "udp", "sctp")
_LAST = 65535


def exposed_ports(text: str) -> list[str]:
    """Return each port with its protocol, as an image's configuration has them.

    Raises:
        DockerfileError: It is no port, no range, or has a protocol that does not exist.
    """
    # Of a mapping, HOST:CONTAINER, only the container's half can be a part of an image.
    container = text.rpartition(":")[2]
    numbers, slash, protocol = container.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _PROTOCOLS:
        raise DockerfileError(
            f"invalid containerPort: {text}: Invalid proto: {protocol}. It can be tcp, udp or sctp"
        )
    first, dash, last = numbers.partition("-")
    start = _port(first, text)
    end = _port(last, text) if dash else start
    if end < start:
        raise DockerfileError(f"invalid containerPort: {text}: Invalid range: {numbers}")
    return [f"{port}/{protocol}" for port in range(start, end + 1)]


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _LAST:
        raise DockerfileError(
            f"invalid containerPort: {whole}. A port is a number from 0 to {_LAST}, "
            "with a protocol if it is not tcp, such as 53/udp"
        )
    return int(text)
