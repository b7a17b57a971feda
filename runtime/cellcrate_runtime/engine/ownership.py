"""Containers that belong to a process, such as a notebook's kernel, and end with it.

A container with the label ``org.cellcrate.owner=<pid>:<start time>`` is killed and removed when
that process is gone. The start time (field 22 of /proc/pid/stat, in clock ticks since boot) tells
the process from a later one with the same id, so the bond survives restarts of the engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from cellcrate_runtime.engine.background import Background
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["OWNER_LABEL", "Owners", "parse_owner", "start_time"]

OWNER_LABEL = "org.cellcrate.owner"


def parse_owner(value: str) -> tuple[int, int]:
    """Understand the label's value.

    Raises:
        BadRequestError: It is not of the form ``pid:start time``.
    """
    pid, colon, ticks = value.partition(":")
    if not (colon and pid.isdecimal() and ticks.isdecimal() and int(pid) > 0):
        raise BadRequestError(
            f"invalid label {OWNER_LABEL}={value}: it must be a process id and the process's start "
            "time from field 22 of /proc/PID/stat, such as 1234:567890"
        )
    return int(pid), int(ticks)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is none."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the program's name in parentheses, may itself have spaces and parentheses.
    fields = status.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return None if state in "ZX" else int(started)


class Owners:
    """Watches the owners of containers.

    Args:
        remove: Kills and removes a container.
    """

    def __init__(self, remove: Callable[[Container], Coroutine[Any, Any, None]]) -> None:
        self._remove = remove
        self._watched: dict[str, int] = {}
        self._removals = Background()

    def watch(self, container: Container) -> None:
        """Begin to watch the owner of a container, if it has one."""
        value = container.labels.get(OWNER_LABEL)
        if value is None or container.id in self._watched:
            return
        pid, ticks = parse_owner(value)
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            self._bereave(container)
            return
        if start_time(pid) != ticks:  # asked after the pidfd is open, so it is about that process
            os.close(pidfd)
            self._bereave(container)
            return
        self._watched[container.id] = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._owner_died, container)

    def forget(self, container: Container) -> None:
        """Stop watching; the container is gone."""
        pidfd = self._watched.pop(container.id, None)
        if pidfd is not None:
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)

    def close(self) -> None:
        """Stop watching for all; the next engine takes over."""
        for pidfd in self._watched.values():
            asyncio.get_running_loop().remove_reader(pidfd)
            os.close(pidfd)
        self._watched.clear()

    def _owner_died(self, container: Container) -> None:
        self.forget(container)
        self._bereave(container)

    def _bereave(self, container: Container) -> None:
        self._removals.spawn(self._remove(container))
