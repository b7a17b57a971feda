"""What a container uses, in the shape in which ``docker stats`` reads it.

A client computes the share of a processor from two samples: the container's processor time
against that of the whole computer. A document therefore carries the sample before it, too
(``precpu_stats``).

Where a container has a cgroup, the kernel has counted everything. A user to whom no cgroup is
delegated has none: then the processes that live now are added up, from /proc.

Source: Docker Engine API reference, "Get container stats based on resource usage"; moby,
api/types/container/stats.go; proc(5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import psutil

from cellcrate_runtime.engine import processes, timestamps
from cellcrate_runtime.engine.network_counters import interfaces
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, hierarchy
from cellcrate_runtime.linux.cgroups.stats import (
    BlkioEntry,
    CgroupStats,
    CPUStats,
    MemoryStats,
    PidsStats,
)
from cellcrate_runtime.oci.joining import open_to_joining

__all__ = ["Sample", "document", "empty_document", "take"]

_NEVER = "0001-01-01T00:00:00Z"  # how Go writes a moment that is not set
_NO_CPU = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
# What kernels since 5.0 do not count any more; clients expect the members.
_UNMEASURED_IO = (
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)


class Sample(msgspec.Struct, frozen=True):
    """What a container had used at one moment; times in nanoseconds, sizes in bytes."""

    moment: int
    used: CgroupStats
    system_cpu: int
    online_cpus: int
    networks: dict[str, dict[str, int]]


def take(pid: int, cgroup_path: str) -> Sample:
    """Return what a running container has used up to now.

    Args:
        pid: Its first process.
        cgroup_path: Where its cgroup is, if it has one.
    """
    return Sample(
        moment=timestamps.now(),
        used=_used(pid, cgroup_path),
        system_cpu=_system_cpu(),
        online_cpus=psutil.cpu_count() or 1,
        networks=interfaces(open_to_joining(pid)),
    )


def _used(pid: int, cgroup_path: str) -> CgroupStats:
    try:
        used = Cgroup.open(cgroup_path).stats()
    except CgroupError:
        used = CgroupStats()
    if used.cpu is None or used.memory is None or used.pids is None:
        # Some controllers, or all, are not there: their part is added up from the processes.
        added = _from_processes(processes.of_container(pid, cgroup_path))
        used.cpu = used.cpu or added.cpu
        used.memory = used.memory or added.memory
        used.pids = used.pids or added.pids
        used.io_bytes = used.io_bytes or added.io_bytes
    return used


def _system_cpu() -> int:
    """Return the processor time that this computer has spent on anything, idleness included."""
    times = psutil.cpu_times()
    # `guest` is part of `user`, and `guest_nice` of `nice`.
    parts = (
        times.user,
        times.nice,
        times.system,
        times.idle,
        times.iowait,
        times.irq,
        times.softirq,
        times.steal,
    )
    return round(sum(parts) * timestamps.SECOND)


def _from_processes(pids: Iterable[int]) -> CgroupStats:
    """Add up what processes use that live now, and the processor time of their ended children."""
    cpu, memory, tasks, read, written = CPUStats(), MemoryStats(usage=0), 0, 0, 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                cpu.user += round((times.user + times.children_user) * timestamps.SECOND)
                cpu.system += round((times.system + times.children_system) * timestamps.SECOND)
                tasks += process.num_threads()
                memory.usage += _resident(process)
                counters = process.io_counters()
                read += counters.read_bytes
                written += counters.write_bytes
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    cpu.usage = cpu.user + cpu.system
    return CgroupStats(
        cpu=cpu,
        memory=memory,
        pids=PidsStats(current=tasks),
        io_bytes=[
            BlkioEntry(major=0, minor=0, op="read", value=read),
            BlkioEntry(major=0, minor=0, op="write", value=written),
        ],
    )


def _resident(process: psutil.Process) -> int:
    """Return a process' memory, of which what it shares is counted in proportion."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def document(identity: dict[str, str], sample: Sample, before: Sample | None) -> dict[str, Any]:
    """Return a sample, and the one before it, as the API writes them.

    Args:
        identity: The members ``id`` and ``name``.
        sample: What the container has used.
        before: The sample before, or None if this is the first.
    """
    answer = {
        **identity,
        "read": timestamps.format_rfc3339(sample.moment),
        "preread": timestamps.format_rfc3339(before.moment) if before else _NEVER,
        "num_procs": 0,  # counted on Windows only
        "storage_stats": {},
        "pids_stats": _pids(sample.used.pids),
        "blkio_stats": _blkio(sample.used),
        "cpu_stats": _cpu(sample),
        "precpu_stats": _cpu(before) if before else _NO_CPU,
        "memory_stats": _memory(sample.used.memory),
    }
    if sample.networks:
        answer["networks"] = sample.networks
    return answer


def empty_document(identity: dict[str, str]) -> dict[str, Any]:
    """Return what the API writes of a container that does not run."""
    return {
        **identity,
        "read": _NEVER,
        "preread": _NEVER,
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": {},
        "blkio_stats": _blkio(CgroupStats()),
        "cpu_stats": _NO_CPU,
        "precpu_stats": _NO_CPU,
        "memory_stats": {},
    }


def _cpu(sample: Sample) -> dict[str, Any]:
    used = sample.used.cpu or CPUStats()
    usage: dict[str, Any] = {
        "total_usage": used.usage,
        "usage_in_kernelmode": used.system,
        "usage_in_usermode": used.user,
    }
    if used.per_cpu is not None:
        usage["percpu_usage"] = used.per_cpu
    return {
        "cpu_usage": usage,
        "system_cpu_usage": sample.system_cpu,
        "online_cpus": sample.online_cpus,
        "throttling_data": {
            "periods": used.periods,
            "throttled_periods": used.throttled_periods,
            "throttled_time": used.throttled,
        },
    }


def _memory(used: MemoryStats | None) -> dict[str, Any]:
    if used is None:
        return {}
    machine = psutil.virtual_memory().total
    answer: dict[str, Any] = {
        "usage": used.usage,
        # A container without a limit has the whole computer.
        "limit": machine if used.limit is None else min(used.limit, machine),
        "stats": used.stat,
    }
    controller = hierarchy().controllers.get("memory")
    if controller is not None and controller.version == 1:
        answer["failcnt"] = used.fail_count
        if used.max_usage is not None:
            answer["max_usage"] = used.max_usage
    return answer


def _pids(used: PidsStats | None) -> dict[str, int]:
    if used is None:
        return {}
    return {"current": used.current, "limit": used.limit or 0}  # 0: no limit


def _blkio(used: CgroupStats) -> dict[str, Any]:
    return {
        "io_service_bytes_recursive": used.io_bytes or None,
        "io_serviced_recursive": used.io_operations or None,
        **dict.fromkeys(_UNMEASURED_IO),
    }
