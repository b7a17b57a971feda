"""One interface over the controllers of cgroup v1 and v2, and which of them a limit needs."""

from __future__ import annotations

from typing import Protocol

from .resources import CPU, BlockIO, Memory, Network, Pids, Resources
from .stats import CgroupStats
from .v1 import blkio, cpuacct, freezer, rdma
from .v1 import cpu as cpu1
from .v1 import cpuset as cpuset1
from .v1 import devices as devices1
from .v1 import hugetlb as hugetlb1
from .v1 import memory as memory1
from .v1 import pids as pids1
from .v1.network import Classes, Priorities
from .v2 import cpu as cpu2
from .v2 import cpuset as cpuset2
from .v2 import devices as devices2
from .v2 import hugetlb as hugetlb2
from .v2 import io
from .v2 import memory as memory2
from .v2 import pids as pids2

__all__ = ["V1", "V2", "Controller", "controllers_for", "controllers_mentioned"]


class Controller(Protocol):
    """What the module of a controller offers."""

    def apply(self, directory: str, resources: Resources) -> None:
        """Write the limits that are asked for; what is not asked for stays as it is."""

    def read(self, directory: str, stats: CgroupStats) -> None:
        """Add what the controller counts."""


V1: dict[str, Controller] = {
    "cpu": cpu1,
    "cpuacct": cpuacct,
    "cpuset": cpuset1,
    "devices": devices1,
    "freezer": freezer,
    "hugetlb": hugetlb1,
    "io": blkio,
    "memory": memory1,
    "net_cls": Classes(),
    "net_prio": Priorities(),
    "pids": pids1,
    "rdma": rdma,
}

V2: dict[str, Controller] = {
    "cpu": cpu2,
    "cpuset": cpuset2,
    "devices": devices2,
    "hugetlb": hugetlb2,
    "io": io,
    "memory": memory2,
    "pids": pids2,
    "rdma": rdma,
}


def controllers_for(resources: Resources) -> list[str]:
    """Return the controllers that these limits need, ``devices`` aside.

    What takes a limit away needs none: where there is no controller there is no limit.

    Device rules are not among them: where nobody may set them, nobody may make device nodes
    either, so that a container has those alone that were bound into it.
    """
    network = resources.network or Network()
    asked = {
        "cpuset": _cpuset(resources.cpu),
        "cpu": _cpu(resources.cpu),
        "memory": _memory(resources.memory),
        "pids": _pids(resources.pids),
        "io": resources.block_io not in (None, BlockIO()),
        "hugetlb": bool(resources.hugepage_limits),
        "net_cls": network.class_id is not None,
        "net_prio": bool(network.priorities),
        "rdma": bool(resources.rdma),
    }
    return [name for name, needed in asked.items() if needed]


def controllers_mentioned(resources: Resources) -> list[str]:
    """Return the controllers that anything is said about, if only that a limit goes away."""
    said = {
        "cpu": resources.cpu not in (None, CPU()),
        "memory": resources.memory not in (None, Memory()),
        "pids": resources.pids not in (None, Pids()),
        "devices": bool(resources.devices),
    }
    needed = controllers_for(resources)
    return needed + [name for name, is_said in said.items() if is_said and name not in needed]


def _pids(pids: Pids | None) -> bool:
    return pids is not None and pids.limit is not None and pids.limit >= 0


def _cpuset(cpu: CPU | None) -> bool:
    return cpu is not None and bool(cpu.cpus or cpu.mems)


def _cpu(cpu: CPU | None) -> bool:
    if cpu is None:
        return False
    quota = cpu.quota is not None and cpu.quota > 0
    realtime = cpu.realtime_period or cpu.realtime_runtime
    return bool(cpu.shares or quota or cpu.burst or cpu.idle or realtime)


def _memory(memory: Memory | None) -> bool:
    if memory is None:
        return False
    sizes = (memory.limit, memory.swap, memory.reservation, memory.kernel_tcp)
    swappiness = memory.swappiness is not None and memory.swappiness >= 0
    return any(size and size > 0 for size in sizes) or swappiness or bool(memory.disable_oom_killer)
