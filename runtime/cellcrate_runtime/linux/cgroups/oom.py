"""Hearing of it when the out-of-memory killer strikes in a control group."""

from __future__ import annotations

import os
import select
from contextlib import suppress

from . import files
from .v1 import memory as memory1
from .v2 import memory as memory2

__all__ = ["OomWatch", "watch_v1", "watch_v2"]


class OomWatch:
    """A descriptor that becomes readable when a group meets its memory limit for good.

    Wait for it with select(2), poll(2) or epoll(7), then ask :meth:`kills`, which makes it
    unreadable again. A wake-up is a hint: only a larger number is a kill.
    """

    def __init__(self, directory: str, version: int, waiter: int, source: int) -> None:
        self._directory = directory
        self._version = version
        self._waiter = waiter
        self._source = source

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._waiter

    def kills(self) -> int:
        """Return how many processes were killed since the group was made.

        Raises:
            OSError: The group is gone (ENOENT, ENODEV).
        """
        if self._version == 2:
            os.lseek(self._source, 0, os.SEEK_SET)
            return files.pairs(os.read(self._source, 4096).decode()).get("oom_kill", 0)
        with suppress(BlockingIOError):  # where nobody woke us up, the caller just asks
            os.eventfd_read(self._waiter)
        return memory1.oom_kills(self._directory)

    def close(self) -> None:
        """Give the descriptors back; closing twice is allowed."""
        for fd in (self._waiter, self._source):
            if fd >= 0:
                os.close(fd)
        self._waiter = self._source = -1

    def __enter__(self) -> OomWatch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watch_v2(directory: str) -> OomWatch:
    """Watch ``memory.events``.

    The kernel signals a change of it as an exceptional condition (POLLPRI), which event loops
    rarely offer. An epoll(7) instance that waits for it is itself readable then; unlike an
    inotify(7) instance it is not counted against a limit of 128 for each user.
    """
    source = os.open(f"{directory}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.read(source, 4096)  # from now on only what is new counts
        waiter = select.epoll(flags=select.EPOLL_CLOEXEC)
        try:
            waiter.register(source, select.EPOLLPRI)
            return OomWatch(directory, 2, os.dup(waiter.fileno()), source)
        finally:
            waiter.close()
    except BaseException:
        os.close(source)
        raise


def watch_v1(directory: str) -> OomWatch:
    """Have an eventfd(2) signalled by ``memory.oom_control``, as the kernel's memory.rst says."""
    source = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    waiter = -1
    try:
        waiter = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        files.write(directory, "cgroup.event_control", f"{waiter} {source}")
    except BaseException:
        os.close(source)
        if waiter >= 0:
            os.close(waiter)
        raise
    return OomWatch(directory, 1, waiter, source)


def kills(directory: str, version: int) -> int:
    """Return how many processes the out-of-memory killer ended in the group of a directory."""
    return memory1.oom_kills(directory) if version == 1 else memory2.oom_kills(directory)
