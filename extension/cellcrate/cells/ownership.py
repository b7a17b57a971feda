"""Tie a container to this process, so that it ends when the process does.

A kernel that is killed runs no cleaning code. The engine watches the process that the label names,
and removes the container when it is gone. The start time tells the process from a later one with
the same id (proc_pid_stat(5), field 22, in clock ticks since boot).
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["LABEL", "owner"]

LABEL = "org.cellcrate.owner"

_START_TIME = 22


def owner() -> str:
    """Return ``PID:START`` of this process."""
    stat = Path("/proc/self/stat").read_text()
    # Field 2 is the name in parentheses, which may hold spaces and parentheses itself.
    fields = stat[stat.rindex(")") + 2 :].split()
    return f"{os.getpid()}:{fields[_START_TIME - 3]}"
