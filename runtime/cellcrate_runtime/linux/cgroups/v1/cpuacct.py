"""Accounting of CPU time; it limits nothing.

Source: Documentation/admin-guide/cgroup-v1/cpuacct.rst of the kernel.
"""

from __future__ import annotations

from .. import files
from ..resources import Resources
from ..stats import CgroupStats, CPUStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Do nothing: there is nothing to set."""


def read(directory: str, stats: CgroupStats) -> None:
    """Add the time that was used, in all and on each CPU."""
    cpu = stats.cpu = stats.cpu or CPUStats()
    cpu.usage = int(files.read(directory, "cpuacct.usage"))
    cpu.user = int(files.read(directory, "cpuacct.usage_user"))
    cpu.system = int(files.read(directory, "cpuacct.usage_sys"))
    cpu.per_cpu = [int(field) for field in files.read(directory, "cpuacct.usage_percpu").split()]
