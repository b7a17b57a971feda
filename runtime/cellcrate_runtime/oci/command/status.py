"""In which state a container is, seen from its process. Source: OCI runtime-spec 1.3, runtime.md.

A state that was written down could be stale after a crash, so none is.
"""

from __future__ import annotations

import os
import time

from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["end_of", "read_start_time", "send", "status_of"]

_ENDED = ("Z", "X")


def status_of(folder: Folder, record: Record) -> str:
    """``created``, ``running``, ``paused`` or ``stopped``."""
    if not is_alive(record):
        return "stopped"
    if os.path.exists(folder.start_socket):
        return "created"
    return "paused" if _is_frozen(record.directories) else "running"


def is_alive(record: Record) -> bool:
    """Whether the first process lives; one that nobody has reaped does not."""
    fields = _stat(record.pid)
    return bool(fields) and fields[0] not in _ENDED and int(fields[19]) == record.start_time


def read_start_time(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 if there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from the third on."""
    if pid <= 0:
        return []
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _is_frozen(directories: dict[str, str]) -> bool:
    for key, name, words in (
        ("", "cgroup.freeze", ("1",)),
        ("freezer", "freezer.state", ("FROZEN", "FREEZING")),
    ):
        if key in directories:
            try:
                with open(f"{directories[key]}/{name}", encoding="ascii") as file:
                    return file.read().strip() in words
            except OSError:
                return False
    return False


def send(record: Record, number: int) -> bool:
    """Send a signal to the first process, and to no other one; False if it has ended."""
    import signal  # which takes longer to load than all that is done here

    try:
        pidfd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_alive(record):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def end_of(record: Record, timeout: float) -> bool:
    """Wait for the end of the first process, at most so many seconds; whether it came."""
    try:
        pidfd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return True
    try:
        import select

        deadline = time.monotonic() + timeout
        while is_alive(record):
            if time.monotonic() >= deadline:
                return False
            select.select([pidfd], [], [], min(0.1, timeout))
        return True
    finally:
        os.close(pidfd)
