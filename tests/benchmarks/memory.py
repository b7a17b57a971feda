"""How much memory processes take."""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["private_bytes"]


def private_bytes(process: psutil.Process) -> float:
    """Memory that would be free again without this process: its own pages and its page tables.

    Source: proc_pid_smaps(5), proc_pid_status(5).
    """
    folder = Path(f"/proc/{process.pid}")
    kilobytes = 0
    for line in (folder / "smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Swap:")):
            kilobytes += int(line.split()[1])
    for line in (folder / "status").read_text().splitlines():
        if line.startswith("VmPTE:"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1024.0
