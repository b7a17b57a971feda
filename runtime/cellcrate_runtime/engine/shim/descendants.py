"""The processes of a container that has no PID namespace of its own to end them with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Callable, Collection

from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["adopt", "become_subreaper", "end"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h; see prctl(2)
_prctl = SystemCall("prctl", *[ctypes.c_ulong] * 5)


def become_subreaper() -> None:
    """Become the parent of descendants whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def adopt(known: Callable[[], Collection[int]]) -> None:
    """Reap the container's orphans as they end; :func:`become_subreaper` made them ours.

    Args:
        known: The children that somebody else waits for.
    """

    def reap(_number: int, _frame: object) -> None:
        for pid in _children().difference(known()):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    signal.signal(signal.SIGCHLD, reap)
    reap(signal.SIGCHLD, None)  # those that have ended before


def end(cgroup: Cgroup | None, execs: Collection[int], workers: Collection[int]) -> None:
    """Kill every process of the container; its first one has ended.

    Args:
        cgroup: Where they are, if they have a control group.
        execs: Children that are killed as well, and that somebody else reaps.
        workers: Children that work for the engine and are left alone.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if cgroup is not None:
        with contextlib.suppress(CgroupError):
            cgroup.kill()
    # Each that dies may leave children of its own to us.
    while orphans := _children().difference(workers, execs) | _alive(execs):
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in orphans:
            if pid in execs:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            else:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return {int(pid) for pid in file.read().split()}


def _alive(children: Collection[int]) -> set[int]:
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return {pid for pid in children if os.waitid(os.P_PID, pid, flags) is None}
