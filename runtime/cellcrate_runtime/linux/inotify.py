"""Being told by the kernel that a file or folder changed, instead of looking again and again.

Source: inotify(7).
"""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag
from pathlib import Path

from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["Change", "Inotify"]


class Change(IntFlag):
    """What may happen to a file, or to a file in a watched folder."""

    MODIFY = 0x002
    MOVED_FROM = 0x040
    MOVED_TO = 0x080
    CREATE = 0x100
    DELETE = 0x200


# An event is 16 bytes and a name of at most NAME_MAX + 1; a read takes many.
_READ_SIZE = 64 * 1024

_inotify_init1 = SystemCall("inotify_init1", ctypes.c_int)
_inotify_add_watch = SystemCall("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


class Inotify:
    """One descriptor that becomes readable when something watched has changed.

    Raises:
        OSError: The user has as many of them as ``fs.inotify.max_user_instances`` allows.
    """

    def __init__(self) -> None:
        self._fd = _inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK, about="inotify_init1")

    def watch(self, path: Path, changes: Change) -> None:
        """Ask to be told of changes of a file, or of the files directly in a folder.

        Raises:
            OSError: The path does not exist, or no more watches are allowed.
        """
        _inotify_add_watch(self._fd, os.fsencode(path), changes, about=str(path))

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return self._fd

    def drain(self) -> None:
        """Forget what happened up to now, so that the descriptor tells of what comes."""
        try:
            while os.read(self._fd, _READ_SIZE):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Inotify:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
