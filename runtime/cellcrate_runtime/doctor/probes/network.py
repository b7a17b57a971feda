"""Network interfaces of containers."""

from __future__ import annotations

import fcntl
import os
import struct
from typing import Any

from cellcrate_runtime.linux import namespaces

from ..rights import become_maker
from ..runner import Lacking, Probe

__all__ = ["probes"]

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x1
_IFF_NO_PI = 0x1000


def probes() -> list[Probe]:
    """Return the probes."""
    return [
        Probe(
            "network",
            gives="a container can have network interfaces of its own",
            without="A container has no network but itself.",
            attempt=_veth,
        ),
        Probe(
            "tun",
            gives="a program can carry a container's traffic to the outside without being root",
            without="Without root, containers cannot reach the outside.",
            attempt=_tun,
        ),
    ]


def _new_network_namespace() -> None:
    become_maker()
    namespaces.unshare(namespaces.FLAGS["network"])


def _veth() -> str:
    """Make a bridge with one end of a pair of interfaces in it, in a namespace that goes away."""
    _new_network_namespace()
    from pyroute2 import IPRoute, NetlinkError  # half a second, so not at the top

    try:
        with IPRoute() as route:
            route.link("add", ifname="bridge0", kind="bridge")
            route.link("add", ifname="outer", kind="veth", peer={"ifname": "inner"})
            bridge = _index(route, "bridge0")
            route.link("set", index=_index(route, "outer"), master=bridge, state="up")
            route.addr("add", index=_index(route, "inner"), address="10.0.0.2", prefixlen=24)
    except NetlinkError as error:
        kind = os.strerror(error.code)
        raise Lacking(
            "missing", f"The kernel says: {kind}.", "sudo modprobe -a veth bridge"
        ) from error
    return ""


def _index(route: Any, name: str) -> int:
    index: int = route.link_lookup(ifname=name)[0]
    return index


def _tun() -> str:
    _new_network_namespace()
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Lacking("missing", "There is no /dev/net/tun.", "sudo modprobe tun") from error
    except PermissionError as error:
        raise Lacking(
            "missing", "/dev/net/tun is not open to this user.", "sudo chmod 666 /dev/net/tun"
        ) from error
    request = struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI)
    fcntl.ioctl(device, _TUNSETIFF, request)
    return ""
