"""Which limits can be set on this machine, one by one, as ``docker info`` lists them."""

from __future__ import annotations

import os

import msgspec

from .errors import CgroupError
from .group import UNIFIED, Cgroup
from .hierarchy import hierarchy

__all__ = ["Features", "features"]


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """True where a container can have the limit."""

    memory_limit: bool = False
    memory_reservation: bool = False
    swap_limit: bool = False
    oom_kill_disable: bool = False
    cpu_shares: bool = False
    cpu_quota: bool = False
    cpuset: bool = False
    pids_limit: bool = False
    block_io_weight: bool = False
    block_io_throttle: bool = False
    pressure: bool = False
    """Not a limit: whether the waiting of each container is counted."""


def features() -> Features:
    """Make a control group, look which files it has, and remove it again."""
    found = hierarchy()
    try:
        group = Cgroup.create(f"/cellcrate/probe-{os.getpid()}")
    except CgroupError:
        return Features()
    try:
        return Features(
            memory_limit=_has(group, "memory", "memory.limit_in_bytes", "memory.max"),
            memory_reservation=_has(group, "memory", "memory.soft_limit_in_bytes", "memory.low"),
            swap_limit=_has(group, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
            oom_kill_disable=_has(group, "memory", "memory.oom_control", None),
            cpu_shares=_has(group, "cpu", "cpu.shares", "cpu.weight"),
            cpu_quota=_has(group, "cpu", "cpu.cfs_quota_us", "cpu.max"),
            cpuset=found.has("cpuset"),
            pids_limit=_has(group, "pids", "pids.max", "pids.max"),
            block_io_weight=_has(group, "io", "blkio.bfq.weight", "io.weight")
            or _has(group, "io", "blkio.weight", "io.bfq.weight"),
            block_io_throttle=_has(group, "io", "blkio.throttle.read_bps_device", "io.max"),
            pressure=group.pressure() is not None,
        )
    finally:
        group.delete()


def _has(group: Cgroup, controller: str, v1: str, v2: str | None) -> bool:
    """Whether a group has a control file, which is named differently in cgroup v1 and v2."""
    if controller in group.directories:
        return os.path.exists(f"{group.directories[controller]}/{v1}")
    unified = group.directories.get(UNIFIED)
    return unified is not None and v2 is not None and os.path.exists(f"{unified}/{v2}")
