"""CPU time: weight and quota.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "CPU".
"""

from __future__ import annotations

import errno

from .. import files
from ..conversions import cpu_weight
from ..resources import CPU, Resources
from ..stats import CgroupStats, CPUStats

__all__ = ["apply", "read"]

_DEFAULT_PERIOD = 100_000


def apply(directory: str, resources: Resources) -> None:
    """Write the limits that are asked for."""
    cpu = resources.cpu
    if cpu is None:
        return
    if cpu.idle is not None:
        files.write(directory, "cpu.idle", cpu.idle)
    if cpu.shares:
        files.write(directory, "cpu.weight", cpu_weight(cpu.shares))
    early_burst = cpu.burst is not None and _burst_first(directory, cpu)
    if cpu.quota or cpu.period:
        files.write(directory, "cpu.max", _maximum(directory, cpu))
    if cpu.burst is not None and not early_burst:
        files.write(directory, "cpu.max.burst", cpu.burst)


def _maximum(directory: str, cpu: CPU) -> str:
    """Return quota and period; what is not asked for stays as it is."""
    quota, period = files.read(directory, "cpu.max").split()
    if cpu.quota:
        quota = str(cpu.quota) if cpu.quota > 0 else "max"
    if cpu.period:
        period = str(cpu.period)
    return f"{quota} {period}"


def _burst_first(directory: str, cpu: CPU) -> bool:
    """Write the burst before a quota that is to shrink below the old burst."""
    try:
        files.write(directory, "cpu.max.burst", cpu.burst or 0)
    except OSError as error:
        if error.errno != errno.EINVAL or not cpu.quota:
            raise
        return False  # it is larger than the old quota: the new one has to come first
    return True


def read(directory: str, stats: CgroupStats) -> None:
    """Add the time that was used, which is known without the controller too."""
    counters = files.pairs(files.read(directory, "cpu.stat"))
    cpu = stats.cpu = stats.cpu or CPUStats()
    cpu.usage = counters.get("usage_usec", 0) * 1000
    cpu.user = counters.get("user_usec", 0) * 1000
    cpu.system = counters.get("system_usec", 0) * 1000
    if "nr_periods" in counters:
        cpu.periods = counters["nr_periods"]
        cpu.throttled_periods = counters["nr_throttled"]
        cpu.throttled = counters["throttled_usec"] * 1000
