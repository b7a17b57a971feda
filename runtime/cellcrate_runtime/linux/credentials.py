"""User and group ids of this process.

The C library's functions change all threads of a process, and count on its list of them, which
is wrong in a child of :func:`~cellcrate_runtime.linux.processes.clone`: these are the bare system
calls.
"""

from __future__ import annotations

import array
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cellcrate_runtime.linux import capabilities, recording
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["become", "file_access_as", "file_access_of", "set_groups"]

_setgroups = SystemCall("setgroups", ctypes.c_size_t, ctypes.c_char_p)
_setresuid = SystemCall("setresuid", *[ctypes.c_uint] * 3)
_setresgid = SystemCall("setresgid", *[ctypes.c_uint] * 3)
_setfsuid = SystemCall("setfsuid", ctypes.c_uint)
_setfsgid = SystemCall("setfsgid", ctypes.c_uint)


def set_groups(groups: Sequence[int]) -> None:
    """Set the supplementary groups."""
    _setgroups(len(groups), array.array("I", groups).tobytes())
    if recording.active is not None:
        recording.active.note("setgroups", groups=list(groups))


def become(uid: int, gid: int) -> None:
    """Set the real, effective and saved ids, groups first, while that is still allowed."""
    _setresgid(gid, gid, gid)
    _setresuid(uid, uid, uid)
    if recording.active is not None:
        recording.active.note("setresgid", id=gid)
        recording.active.note("setresuid", id=uid)


@contextmanager
def file_access_of(uid: int, gid: int) -> Iterator[None]:
    """Have the access to files that another user has, and no more, for a while.

    Source: setfsuid(2). The kernel drops the capabilities that have to do with files while the user
    for files is not 0, and gives them back after that. An id that this user namespace does not have
    changes nothing.
    """
    _setfsgid(gid)
    _setfsuid(uid)
    try:
        yield
    finally:
        _setfsuid(0)
        _setfsgid(0)


@contextmanager
def file_access_as(uid: int, gid: int) -> Iterator[None]:
    """Own new files as another user for a while, and stay root in every other way.

    Source: setfsuid(2). The kernel drops the capabilities that have to do with files when the user
    for files stops being 0; they are raised again from the permitted set.
    """
    held = capabilities.permitted()
    _setfsgid(gid)
    _setfsuid(uid)
    capabilities.set_current(held, held, 0)
    try:
        yield
    finally:
        _setfsuid(0)
        _setfsgid(0)
        capabilities.set_current(held, held, 0)
