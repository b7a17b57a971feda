"""From the text of ``-p`` to what the Docker Engine API wants."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cellcrate.options.option import Body

__all__ = ["Binding", "expose", "publish", "put_exposed", "put_published"]

#: A container's port ("80/tcp"), the host's address, and the host's port ("" for any free one).
Binding = tuple[str, str, str]

_PROTOCOLS = ("tcp", "udp", "sctp")
_FORMS = "Write 8080:80, 127.0.0.1:8080:80 or 80."
_ADDRESS = re.compile(r"^(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):(?P<rest>.*)$")


def publish(text: str) -> list[Binding]:
    """Read ``[[ADDRESS:]HOSTPORT:]PORT[/PROTOCOL]``; ports may be ranges, ``8000-8002``."""
    ports, _, protocol = text.partition("/")
    protocol = protocol or "tcp"
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{protocol!r} is not one of {', '.join(_PROTOCOLS)}.")
    rest, _, inside = ports.rpartition(":")
    address, host = "", rest
    if ":" in rest:
        match = _ADDRESS.match(rest)
        if match is None:
            raise ValueError(f"{text!r} publishes no port. {_FORMS}")
        address, host = match["six"] or match["four"] or "", match["rest"]
    targets = _range(inside, text)
    sources = [str(port) for port in _range(host, text)] if host else [""] * len(targets)
    if len(sources) != len(targets):
        raise ValueError(f"{text!r}: both ranges have to have the same length.")
    return [
        (f"{port}/{protocol}", address, source)
        for port, source in zip(targets, sources, strict=True)
    ]


def expose(text: str) -> list[str]:
    """Read ``PORT[/PROTOCOL]`` or a range of ports."""
    ports, _, protocol = text.partition("/")
    return [f"{port}/{protocol or 'tcp'}" for port in _range(ports, text)]


def _range(text: str, whole: str) -> list[int]:
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        raise ValueError(f"{whole!r} publishes no port. {_FORMS}") from None
    if not 0 < low <= high < 65536:
        raise ValueError(f"{whole!r}: ports go from 1 to 65535.")
    return list(range(low, high + 1))


def put_published(body: Body, values: Iterable[list[Binding]]) -> None:
    """Place what ``-p`` asked for."""
    bindings = body.setdefault("HostConfig", {}).setdefault("PortBindings", {})
    exposed = body.setdefault("ExposedPorts", {})
    for port, address, source in (binding for value in values for binding in value):
        bindings.setdefault(port, []).append({"HostIp": address, "HostPort": source})
        exposed[port] = {}


def put_exposed(body: Body, values: Iterable[list[str]]) -> None:
    """Place what ``--expose`` asked for."""
    exposed = body.setdefault("ExposedPorts", {})
    exposed.update({port: {} for value in values for port in value})
