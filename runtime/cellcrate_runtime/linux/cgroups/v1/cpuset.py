"""Which CPUs and memory nodes may be used.

Source: Documentation/admin-guide/cgroup-v1/cpusets.rst of the kernel.
"""

from __future__ import annotations

import os

from .. import files
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["apply", "prepare", "read"]


def prepare(root: str, directory: str) -> None:
    """Fill in a new cpuset, and those above it up to ``root``.

    A v1 cpuset starts empty, and a cgroup with an empty one takes no processes.
    """
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not files.read(directory, name).strip():
            above = os.path.dirname(directory)
            if above != root:
                prepare(root, above)
            files.write(directory, name, files.read(above, name).strip())


def apply(directory: str, resources: Resources) -> None:
    """Write the lists that are asked for."""
    cpu = resources.cpu
    if cpu is None:
        return
    if cpu.cpus:
        files.write(directory, "cpuset.cpus", cpu.cpus)
    if cpu.mems:
        files.write(directory, "cpuset.mems", cpu.mems)


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: a cpuset counts nothing."""
