"""How many tasks there may be; the controller has the same files in cgroup v1 and v2.

Source: Documentation/admin-guide/cgroup-v1/pids.rst of the kernel.
"""

from __future__ import annotations

from .. import files
from ..resources import Resources
from ..stats import CgroupStats, PidsStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the limit, where one is asked for."""
    if resources.pids is not None and resources.pids.limit is not None:
        limit = resources.pids.limit
        # To a container, whose first task is there already, 0 and 1 are the same; systemd has no 0.
        files.write(directory, "pids.max", max(limit, 1) if limit >= 0 else "max")


def read(directory: str, stats: CgroupStats) -> None:
    """Add the number of tasks."""
    stats.pids = PidsStats(
        current=files.read_int(directory, "pids.current") or 0,
        limit=files.read_int(directory, "pids.max"),
        refused=files.pairs(files.read(directory, "pids.events")).get("max", 0),
    )
