"""When and where a process runs: scheduling policy, memory nodes, and what machine it sees.

Source: sched(7), sched_setattr(2), set_mempolicy(2), personality(2); linux/sched/types.h,
linux/mempolicy.h, linux/personality.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = [
    "FLAGS",
    "MEMORY_FLAGS",
    "MEMORY_MODES",
    "PERSONALITIES",
    "POLICIES",
    "set_memory_policy",
    "set_personality",
    "set_policy",
]

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,  # a reserved number: no kernel takes it
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}

FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}

MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}

MEMORY_FLAGS = {
    "MPOL_F_STATIC_NODES": 1 << 15,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_NUMA_BALANCING": 1 << 13,
}

PERSONALITIES = {"LINUX": 0x0, "LINUX32": 0x8}

_WORD = 64  # bits of an element of a mask of memory nodes


class _Attributes(ctypes.Structure):
    """``struct sched_attr``."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("util_min", ctypes.c_uint32),
        ("util_max", ctypes.c_uint32),
    ]


_sched_setattr = SystemCall("sched_setattr", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
_personality = SystemCall("personality", ctypes.c_ulong)
_set_mempolicy = SystemCall("set_mempolicy", ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong)


def set_policy(
    pid: int,
    policy: str,
    flags: Iterable[str] = (),
    *,
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """Set the scheduling policy of a process; times are in nanoseconds.

    Raises:
        OSError: EPERM, it takes CAP_SYS_NICE or a resource limit; EINVAL, the values do not fit.
    """
    attributes = _Attributes(
        size=ctypes.sizeof(_Attributes),
        policy=POLICIES[policy],
        flags=sum(FLAGS[name] for name in set(flags)),
        nice=nice,
        priority=priority,
        runtime=runtime,
        deadline=deadline,
        period=period,
    )
    _sched_setattr(pid, ctypes.byref(attributes), 0)


def set_personality(domain: str) -> None:
    """Set what machine this process, and what it executes, sees itself on."""
    _personality(PERSONALITIES[domain])


def set_memory_policy(mode: str, flags: Iterable[str], nodes: Iterable[int]) -> None:
    """Set which memory nodes this process takes its memory from.

    Raises:
        OSError: ENOSYS, the kernel knows of one node only; EINVAL, the mode does not go with these
            nodes or flags, or there is no such node.
    """
    bits = sum(1 << node for node in set(nodes))
    words = max(1, -(-bits.bit_length() // _WORD))
    mask = (ctypes.c_uint64 * words)(
        *(bits >> _WORD * place & (1 << _WORD) - 1 for place in range(words))
    )
    number = MEMORY_MODES[mode] | sum(MEMORY_FLAGS[name] for name in set(flags))
    # The kernel reads one bit less than it is told.
    _set_mempolicy(number, ctypes.byref(mask) if bits else None, words * _WORD + 1 if bits else 0)
