"""Memory limits and use.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "Memory".
"""

from __future__ import annotations

from .. import files, machine
from ..conversions import swap_alone
from ..errors import LimitRefusedError
from ..resources import Memory, Resources
from ..stats import CgroupStats, MemoryStats

__all__ = ["apply", "oom_kills", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the limits that are asked for.

    Swappiness and switching the out-of-memory killer off have no counterpart in cgroup v2;
    ``cgroups.check`` says so.
    """
    memory = resources.memory
    if memory is None:
        return
    if memory.check_before_update and memory.limit and memory.limit > 0:
        _refuse_less_than_used(directory, memory.limit)
    _swap(directory, memory)
    if memory.limit:
        files.write(directory, "memory.max", _or_max(memory.limit))
    if memory.reservation:
        files.write(directory, "memory.low", _or_max(memory.reservation))


def _refuse_less_than_used(directory: str, limit: int) -> None:
    """Refuse what cgroup v1 would: here the kernel would kill processes until the rest fits."""
    usage = files.read_int(directory, "memory.current") or 0
    if usage > limit:
        raise LimitRefusedError(
            f"{directory}/memory.max", str(limit), f"the group uses {usage} bytes, more than that."
        )


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


def _swap(directory: str, memory: Memory) -> None:
    swap = swap_alone(memory.limit, memory.swap)
    if swap is None:
        return
    try:
        files.write(directory, "memory.swap.max", _or_max(swap))
    except FileNotFoundError:
        # The kernel does not count swap. That is fine where there is none, or all may be used.
        if swap >= 0 and machine.has_swap():
            raise


def oom_kills(directory: str) -> int:
    """Return how many processes the out-of-memory killer ended in this group."""
    return files.pairs(files.read(directory, "memory.events")).get("oom_kill", 0)


def read(directory: str, stats: CgroupStats) -> None:
    """Add the memory in use."""
    events = files.pairs(files.read(directory, "memory.events"))
    stats.memory = MemoryStats(
        usage=files.read_int(directory, "memory.current") or 0,
        limit=files.read_int(directory, "memory.max"),
        max_usage=files.read_int(directory, "memory.peak"),  # since Linux 5.19
        swap=files.read_int(directory, "memory.swap.current"),
        fail_count=events.get("max", 0),
        oom_kills=events.get("oom_kill", 0),
        stat=files.pairs(files.read(directory, "memory.stat")),
    )
