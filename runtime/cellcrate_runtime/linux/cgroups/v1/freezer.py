"""Stopping all processes of a group at once, and letting them go on.

Source: Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst of the kernel.
"""

from __future__ import annotations

import time

from .. import files
from ..errors import CgroupBusyError
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["apply", "freeze", "frozen", "read", "thaw"]

_FILE = "freezer.state"


def apply(directory: str, resources: Resources) -> None:
    """Do nothing: freezing is not a limit."""


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: the freezer counts nothing."""


def frozen(directory: str) -> bool:
    """Return whether the group is frozen, or about to be."""
    return files.read(directory, _FILE).strip() != "THAWED"


def thaw(directory: str) -> None:
    """Let the processes go on."""
    files.write(directory, _FILE, "THAWED")


def freeze(directory: str, timeout: float) -> None:
    """Stop the processes and wait until they stand still.

    A process that forks meanwhile can keep the group in the state FREEZING for ever; writing
    again, after a moment of freedom, gets it.

    Raises:
        CgroupBusyError: They did not stop in time; the group has been thawed.
    """
    deadline = time.monotonic() + timeout
    pause = 0.0001
    while True:
        files.write(directory, _FILE, "FROZEN")
        if files.read(directory, _FILE).strip() == "FROZEN":
            return
        if time.monotonic() > deadline:
            thaw(directory)
            raise CgroupBusyError(f"The processes of {directory} could not be frozen in time.")
        if pause > 0.01:
            thaw(directory)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
