"""Control groups: how much CPU, memory, and how many processes a container may take.

``Cgroup.create("/cellcrate/1234", resources)`` makes a group in whatever this machine has (cgroup
v2, v1 or both); ``hierarchy()`` says what that is.
"""

from __future__ import annotations

from .check import Problem, check
from .errors import (
    CgroupBusyError,
    CgroupError,
    CgroupNotFoundError,
    ControllerUnavailableError,
    LimitRefusedError,
)
from .group import Cgroup, tidy
from .hierarchy import Hierarchy, Place, hierarchy
from .oom import OomWatch
from .pressure import Pressure, Stall
from .resources import Resources
from .stats import BlkioEntry, CgroupStats, CPUStats, MemoryStats, PidsStats

__all__ = [
    "BlkioEntry",
    "CPUStats",
    "Cgroup",
    "CgroupBusyError",
    "CgroupError",
    "CgroupNotFoundError",
    "CgroupStats",
    "ControllerUnavailableError",
    "Hierarchy",
    "LimitRefusedError",
    "MemoryStats",
    "OomWatch",
    "PidsStats",
    "Place",
    "Pressure",
    "Problem",
    "Resources",
    "Stall",
    "check",
    "hierarchy",
    "tidy",
]
