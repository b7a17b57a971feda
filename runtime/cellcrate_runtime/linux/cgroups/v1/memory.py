"""Memory limits and use.

Source: Documentation/admin-guide/cgroup-v1/memory.rst of the kernel.
"""

from __future__ import annotations

import errno

from .. import files, machine
from ..errors import LimitRefusedError
from ..resources import Memory, Resources
from ..stats import CgroupStats, MemoryStats

__all__ = ["apply", "oom_kills", "read"]

_LIMIT = "memory.limit_in_bytes"
_TOTAL = "memory.memsw.limit_in_bytes"  # memory and swap together

# A v1 group without a limit reports the largest number of pages, PAGE_COUNTER_MAX.
_NO_LIMIT = 1 << 62


def apply(directory: str, resources: Resources) -> None:
    """Write the limits that are asked for."""
    memory = resources.memory
    if memory is None:
        return
    _limits(directory, memory)
    if memory.reservation:
        files.write(directory, "memory.soft_limit_in_bytes", memory.reservation)
    if memory.kernel_tcp:
        files.write(directory, "memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp)
    if memory.swappiness is not None and memory.swappiness >= 0:
        files.write(directory, "memory.swappiness", memory.swappiness)
    if memory.disable_oom_killer is not None:
        files.write(directory, "memory.oom_control", int(memory.disable_oom_killer))


def _limits(directory: str, memory: Memory) -> None:
    """Write the limit of memory and that of memory and swap together, which may not be smaller.

    The limit of memory comes first, which is right for a new group and for lower limits. When it
    is to rise above the old total, the kernel refuses, and the total has to rise first.
    """
    total = memory.swap
    if memory.limit == -1 and not total and files.read_int(directory, _TOTAL) is not None:
        total = -1
    if memory.limit:
        try:
            _write_limit(directory, memory.limit)
        except OSError as error:
            if error.errno != errno.EINVAL or not total:
                raise
            _write_total(directory, total)
            _write_limit(directory, memory.limit)
            return
    if total:
        _write_total(directory, total)


def _write_total(directory: str, total: int) -> None:
    try:
        files.write(directory, _TOTAL, total)
    except FileNotFoundError:
        # The kernel does not count swap. That is fine where there is none, or all may be used.
        if total > 0 and machine.has_swap():
            raise


def _write_limit(directory: str, limit: int) -> None:
    try:
        files.write(directory, _LIMIT, limit)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        usage = files.read_int(directory, "memory.usage_in_bytes")
        raise LimitRefusedError(
            f"{directory}/{_LIMIT}",
            str(limit),
            f"the group uses {usage} bytes, more than that, and cannot give enough of them back.",
        ) from error


def oom_kills(directory: str) -> int:
    """Return how many processes the out-of-memory killer ended in this group."""
    return files.pairs(files.read(directory, "memory.oom_control")).get("oom_kill", 0)


def read(directory: str, stats: CgroupStats) -> None:
    """Add the memory in use."""
    usage = files.read_int(directory, "memory.usage_in_bytes") or 0
    total = files.read_int(directory, "memory.memsw.usage_in_bytes")
    limit = files.read_int(directory, _LIMIT)
    stats.memory = MemoryStats(
        usage=usage,
        limit=None if limit is None or limit >= _NO_LIMIT else limit,
        max_usage=files.read_int(directory, "memory.max_usage_in_bytes"),
        swap=None if total is None else max(total - usage, 0),
        # Meetings with the limit of memory and swap together are counted by few kernels.
        fail_count=files.read_int(directory, "memory.failcnt") or 0,
        oom_kills=oom_kills(directory),
        stat=files.pairs(files.read(directory, "memory.stat")),
    )
