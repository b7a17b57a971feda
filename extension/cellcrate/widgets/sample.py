"""What a container uses at one moment, out of the engine's statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Sample"]

#: docker takes a limit of this size for none: it is what an unlimited cgroup v1 reports.
NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container uses at one moment.

    Attributes:
        cpu: Processors in use, since the sample before; 1.0 is one processor, busy all the time.
        memory: Memory in use without what the kernel can drop at once, in bytes.
        memory_limit: The limit on it, in bytes; 0 where there is none.
        processes: Processes and threads.
        received: Bytes received over the network, since the start.
        sent: Bytes sent.
        read: Bytes read from disks, since the start.
        written: Bytes written.
    """

    cpu: float = 0.0
    memory: int = 0
    memory_limit: int = 0
    processes: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0

    @classmethod
    def of(cls, stats: Mapping[str, Any]) -> Sample:
        """Read a message of ContainerStats, as docker's own command line does (Docker Engine API,
        "ContainerStats", which gives the formulas)."""
        networks = (stats.get("networks") or {}).values()
        blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
        memory = stats.get("memory_stats") or {}
        limit = int(memory.get("limit") or 0)
        return cls(
            cpu=_cpu(stats),
            memory=_memory(memory),
            memory_limit=limit if limit < NO_LIMIT else 0,
            processes=int((stats.get("pids_stats") or {}).get("current") or 0),
            received=sum(int(each.get("rx_bytes", 0)) for each in networks),
            sent=sum(int(each.get("tx_bytes", 0)) for each in networks),
            read=_sum(blocks, "read"),
            written=_sum(blocks, "write"),
        )

    @property
    def memory_share(self) -> float:
        """The part of the memory limit that is in use, 0 where there is no limit."""
        return self.memory / self.memory_limit if self.memory_limit else 0.0


def _cpu(stats: Mapping[str, Any]) -> float:
    now, before = stats.get("cpu_stats") or {}, stats.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    passed = int(now.get("system_cpu_usage") or 0) - int(before.get("system_cpu_usage") or 0)
    processors = now.get("online_cpus") or len(now.get("cpu_usage", {}).get("percpu_usage") or [])
    if used <= 0 or passed <= 0 or not before.get("system_cpu_usage"):
        return 0.0
    return float(used / passed * (processors or 1))


def _total(cpu: Mapping[str, Any]) -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _memory(memory: Mapping[str, Any]) -> int:
    usage = int(memory.get("usage") or 0)
    details = memory.get("stats") or {}
    # cgroup v1 calls it total_inactive_file, v2 inactive_file.
    droppable = int(details.get("total_inactive_file", details.get("inactive_file", 0)) or 0)
    return usage - droppable if droppable < usage else usage


def _sum(entries: list[Mapping[str, Any]], operation: str) -> int:
    return sum(int(each["value"]) for each in entries if each["op"].lower() == operation)
