"""What a control group has used.

Times are in nanoseconds and sizes in bytes. A part is None where its controller is not there.
"""

from __future__ import annotations

import msgspec

__all__ = ["BlkioEntry", "CPUStats", "CgroupStats", "MemoryStats", "PidsStats"]


class CPUStats(msgspec.Struct, kw_only=True):
    """Processor time, and how often a quota held the group back."""

    usage: int = 0
    user: int = 0
    system: int = 0
    periods: int = 0
    """Enforcement periods in which the group wanted to run."""
    throttled_periods: int = 0
    throttled: int = 0
    """For how long the group's tasks waited because the quota was used up."""
    per_cpu: list[int] | None = None
    """Time on each CPU; only cgroup v1 (cpuacct) counts it."""


class MemoryStats(msgspec.Struct, kw_only=True):
    """Memory, page cache included."""

    usage: int
    limit: int | None = None
    """None means that the group has no limit of its own."""
    max_usage: int | None = None
    swap: int | None = None
    """Swap alone, without memory."""
    fail_count: int = 0
    """How often an allocation met the limit."""
    oom_kills: int = 0
    stat: dict[str, int] = {}
    """``memory.stat``, in the names of the kernel, which differ between cgroup v1 and v2."""

    @property
    def working_set(self) -> int:
        """Usage without the file pages that the kernel could drop at once, as docker shows it."""
        inactive = self.stat.get("total_inactive_file", self.stat.get("inactive_file", 0))
        return max(self.usage - inactive, 0)


class PidsStats(msgspec.Struct, kw_only=True):
    """Tasks: processes and threads."""

    current: int
    limit: int | None = None
    refused: int = 0
    """How many fork(2) calls failed because of the limit."""


class BlkioEntry(msgspec.Struct, kw_only=True):
    """One counter of one block device; ``op`` is ``read``, ``write`` or ``discard``."""

    major: int
    minor: int
    op: str
    value: int


class CgroupStats(msgspec.Struct, kw_only=True):
    """Everything a control group counts, read at one time."""

    cpu: CPUStats | None = None
    memory: MemoryStats | None = None
    pids: PidsStats | None = None
    io_bytes: list[BlkioEntry] = []
    io_operations: list[BlkioEntry] = []
