"""Limits: control groups, and the pressure that they cause."""

from __future__ import annotations

import os

from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    CgroupError,
    Hierarchy,
    Resources,
    systemd,
)
from cellcrate_runtime.linux.cgroups.hierarchy import discover
from cellcrate_runtime.linux.cgroups.resources import CPU, Memory, Pids

from ..runner import Lacking, Probe

__all__ = ["probes"]

_WANTED = ("cpu", "memory", "pids")
_WELCOME = ("cpuset", "io")

_DELEGATE_ALL = (
    "printf '[Service]\\nDelegate=yes\\n' | "
    "sudo install -D /dev/stdin /etc/systemd/system/user@.service.d/delegate.conf && "
    "sudo systemctl daemon-reload, then log in again"
)


def probes() -> list[Probe]:
    """Return the probes."""
    return [
        Probe(
            "limits",
            gives="CPU, memory and processes of a container can be limited",
            without="Containers run without limits; asking for one is an error.",
            attempt=_limits,
        ),
        Probe(
            "pressure",
            gives="the time that programs wait for CPU, memory and I/O is counted",
            without="Nobody counts for how long programs wait for CPU, memory and I/O.",
            attempt=_pressure,
        ),
    ]


def _limits() -> str:
    found = discover()
    if found.kind == "none":
        raise Lacking(
            "missing",
            "No control group file system is mounted.",
            "sudo mount -t cgroup2 none /sys/fs/cgroup",
        )
    if not found.writable:
        return _with_systemd(found)
    missing = [name for name in _WANTED if not found.has(name)]
    if missing:
        raise Lacking(
            "limited",
            f"There is no controller here for: {', '.join(missing)}.",
            _DELEGATE_ALL if os.geteuid() != 0 else "",
        )
    if os.geteuid() == 0 or found.kind != "v2":
        _try_out()
    return f"{_title(found)}: {', '.join(_names(found))}"


def _try_out() -> None:
    """Set each limit on a group that is removed again."""
    resources = Resources(
        cpu=CPU(quota=50_000, period=100_000),
        memory=Memory(limit=64 << 20),
        pids=Pids(limit=10),
    )
    try:
        group = Cgroup.create(f"/cellcrate-doctor-{os.getpid()}", resources)
        group.delete()
    except CgroupError as error:
        raise Lacking("missing", str(error)) from error


def _with_systemd(found: Hierarchy) -> str:
    """An ordinary user gets a part of the v2 tree from systemd, when the engine asks for it."""
    if found.kind != "v2":
        raise Lacking(
            "missing",
            "The controllers are those of cgroup v1, which only root can use.",
            "Run the engine as root, or boot with systemd.unified_cgroup_hierarchy=1 (cgroup v2).",
        )
    if not systemd.available():
        if os.path.isdir("/run/systemd/system"):
            raise Lacking(
                "missing",
                "This user has no systemd of their own running, which would delegate a control "
                "group.",
                "sudo loginctl enable-linger $USER",
            )
        raise Lacking(
            "missing",
            "The control group of this process was not delegated to this user, and there is no "
            "systemd that could do so.",
            "Run the engine as root, or start this container with its cgroup delegated.",
        )
    delegated = systemd.delegated_controllers()
    missing = [name for name in _WANTED if name not in delegated]
    if missing:
        raise Lacking(
            "limited", f"systemd does not delegate to users: {', '.join(missing)}.", _DELEGATE_ALL
        )
    return f"{_title(found)}, delegated by systemd: {', '.join(sorted(delegated))}"


def _title(found: Hierarchy) -> str:
    kinds = {"hybrid": "cgroup v1 with a v2 tree beside it", "none": "no control groups"}
    return kinds.get(found.kind, f"cgroup {found.kind}")


def _names(found: Hierarchy) -> list[str]:
    return [name for name in (*_WANTED, *_WELCOME) if found.has(name)]


def _pressure() -> str:
    try:
        with open("/proc/pressure/cpu") as file:
            file.read()
    except OSError as error:
        raise Lacking(
            "missing",
            f"The kernel says: {error.strerror}, for /proc/pressure/cpu.",
            "Start the kernel with psi=1 on its command line.",
        ) from error
    found = discover()
    if found.unified is None and found.kind == "v1":
        raise Lacking("limited", "cgroup v1 counts it for the whole machine, not by container.")
    return "by container" if found.unified is not None else "for the whole machine"
