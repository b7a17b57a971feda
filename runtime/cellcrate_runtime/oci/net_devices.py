"""Move network devices of the host into a container (``linux.netDevices``).

Source: OCI runtime-spec 1.3, config-linux.md, "Network Devices"; rtnetlink(7).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cellcrate_runtime.linux import namespaces, processes
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import NetDevice

__all__ = ["move"]

_PERMANENT = 0x80  # linux/if_addr.h, IFA_F_PERMANENT
_UNIVERSE = 0  # linux/rtnetlink.h, RT_SCOPE_UNIVERSE


class _Found(msgspec.Struct):
    """A device of the host that is to move."""

    name: str
    new_name: str
    index: int
    addresses: list[dict[str, Any]]


def move(devices: Mapping[str, NetDevice], pid: int) -> None:
    """Move devices into the network namespace of a process, with their addresses, and up.

    Raises:
        OCIError: One is not there, its name is taken, or the kernel does not let it go. What has
            been moved before it is back.
    """
    reader, writer = os.pipe()
    try:
        # A process of its own enters the namespace: it could not always come back.
        child, pidfd = processes.clone(0)
        if not child:
            _live(devices, pid, writer)
        os.close(pidfd)
        os.close(writer)
        writer = -1
        with open(reader, encoding="utf-8", closefd=False) as answer:
            reason = answer.read()
        _, status = os.waitpid(child, 0)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if status:
        raise OCIError(f"linux.netDevices: {reason or 'the devices cannot be moved'}")


def _live(devices: Mapping[str, NetDevice], pid: int, answer: int) -> None:
    try:
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        away = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with IPRoute() as outside:
            namespaces.setns(away, namespaces.FLAGS["network"])
            with IPRoute() as inside:
                found = [_find(outside, name, each) for name, each in devices.items()]
                _refuse_taken(inside, found)
                _move_all(outside, inside, found, home, away)
        os._exit(0)
    except NetlinkError as error:
        os.write(answer, os.strerror(error.code).encode())
    except Exception as error:
        os.write(answer, str(error).encode())
    finally:
        os._exit(1)


def _find(outside: IPRoute, name: str, wanted: NetDevice) -> _Found:
    indices = outside.link_lookup(ifname=name)
    if not indices:
        raise OCIError(f"there is no network device {name!r}", "not_found")
    addresses = []
    for each in outside.get_addr(index=indices[0]):
        flags = each.get_attr("IFA_FLAGS") or each["flags"]
        if flags & _PERMANENT and each["scope"] == _UNIVERSE:
            addresses.append(_address(each))
    return _Found(name, wanted.name or name, indices[0], addresses)


def _address(message: Any) -> dict[str, Any]:
    kept = {"family": message["family"], "prefixlen": message["prefixlen"]}
    kept["address"] = message.get_attr("IFA_ADDRESS")
    for name, attribute in (("local", "IFA_LOCAL"), ("broadcast", "IFA_BROADCAST")):
        if message["family"] == socket.AF_INET and message.get_attr(attribute):
            kept[name] = message.get_attr(attribute)
    return kept


def _refuse_taken(inside: IPRoute, found: list[_Found]) -> None:
    taken = {link.get_attr("IFLA_IFNAME") for link in inside.get_links()}
    for device in found:
        if device.new_name in taken:
            raise OCIError(f"the container has a network device {device.new_name!r} already")
        taken.add(device.new_name)


def _move_all(outside: IPRoute, inside: IPRoute, found: list[_Found], home: int, away: int) -> None:
    moved: list[tuple[int, str]] = []
    try:
        for device in found:
            before = _indices(inside)
            outside.link("set", index=device.index, net_ns_fd=away, ifname=device.new_name)
            (index,) = _indices(inside) - before  # it may have got another
            moved.append((index, device.name))
            for address in device.addresses:
                inside.addr("add", index=index, **address)
            inside.link("set", index=index, state="up")
    except Exception:
        for index, name in moved:
            inside.link("set", index=index, net_ns_fd=home, ifname=name)
        raise


def _indices(route: IPRoute) -> set[int]:
    return {link["index"] for link in route.get_links()}
