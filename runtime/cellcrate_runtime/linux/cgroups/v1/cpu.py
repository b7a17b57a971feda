"""CPU time: weight and quota.

Source: Documentation/scheduler/sched-bwc.rst and sched-design-CFS.rst of the kernel.
"""

from __future__ import annotations

import errno

from .. import files
from ..resources import Resources
from ..stats import CgroupStats, CPUStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the limits that are asked for."""
    cpu = resources.cpu
    if cpu is None:
        return
    if cpu.shares:
        files.write(directory, "cpu.shares", cpu.shares)
    if cpu.idle is not None:
        files.write(directory, "cpu.idle", cpu.idle)
    _write_in_any_order(
        directory,
        [("cpu.cfs_period_us", cpu.period or None), ("cpu.cfs_quota_us", cpu.quota or None)],
    )
    if cpu.burst is not None:
        files.write(directory, "cpu.cfs_burst_us", cpu.burst)
    _write_in_any_order(
        directory,
        [
            ("cpu.rt_period_us", cpu.realtime_period or None),
            ("cpu.rt_runtime_us", cpu.realtime_runtime),
        ],
    )


def _write_in_any_order(directory: str, settings: list[tuple[str, int | None]]) -> None:
    """Write two settings; the kernel refuses a step that passes the parent's share on the way."""
    wanted = [(name, value) for name, value in settings if value is not None]
    for name, value in wanted:
        try:
            files.write(directory, name, value)
        except OSError as error:
            if error.errno != errno.EINVAL or len(wanted) < 2:
                raise
            break
    else:
        return
    for name, value in reversed(wanted):
        files.write(directory, name, value)


def read(directory: str, stats: CgroupStats) -> None:
    """Add what the quota held back."""
    counters = files.pairs(files.read(directory, "cpu.stat"))
    cpu = stats.cpu = stats.cpu or CPUStats()
    cpu.periods = counters.get("nr_periods", 0)
    cpu.throttled_periods = counters.get("nr_throttled", 0)
    cpu.throttled = counters.get("throttled_time", 0)
