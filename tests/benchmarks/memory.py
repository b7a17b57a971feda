"""How much memory processes take."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["Peak", "private_bytes"]

_GLANCE = 0.01  # seconds


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


class Peak:
    """The most memory that a command ever held in its process, asked of the kernel as it runs."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def run(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run a command that must succeed; note its VmHWM, see proc_pid_status(5)."""
        peak = 0.0
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
            status = Path(f"/proc/{process.pid}/status")
            while process.poll() is None:
                for line in status.read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak = max(peak, int(line.split()[1]) * 1024.0)
                time.sleep(_GLANCE)
        assert process.returncode == 0, command
        self.found.append(peak)
