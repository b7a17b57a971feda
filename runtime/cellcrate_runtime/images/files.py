"""Files that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cellcrate_runtime.images.errors import StoreFullError

__all__ = [
    "locked",
    "room_needed",
    "sync_file_system",
    "sync_folder",
    "try_locked",
    "write_whole",
]

_libc = ctypes.CDLL(None, use_errno=True)


def write_whole(path: Path, content: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new content, never a part.

    Written beside it, flushed to disk and renamed; see rename(2) and fsync(2). Without ``durable``
    that holds for a crash of the process, and not of the machine.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush a folder's list of names to disk, so that a rename in it survives a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock that other threads and processes respect, waiting for it; see flock(2).

    Every call opens the file anew, because a lock belongs to the open file description: two
    threads that shared one would both hold it. The kernel lets go when the holder dies.
    """
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Like :func:`locked`, but yield False at once where somebody else holds it."""
    descriptor = _open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def room_needed(folder: Path) -> Iterator[None]:
    """Say what to do when the disk is full.

    Raises:
        StoreFullError: What was written in the block did not fit.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreFullError(
            f"there {_what_is_lacking(error, folder)} left for images on the disk that holds "
            f"{folder}. Remove some with `cellcrate image rm`, or set CELLCRATE_HOME to a folder "
            "on another disk."
        ) from error


def _what_is_lacking(error: OSError, folder: Path) -> str:
    if error.errno == errno.EDQUOT:
        return "is, by this user's quota, no room"
    status = os.statvfs(folder)
    if status.f_files and not status.f_favail and status.f_bavail:
        return "is room, but no number for another file (no inode) is"
    return "is no room"


def sync_file_system(path: Path) -> None:
    """Flush everything that was written to the file system of a folder; see syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
    finally:
        os.close(descriptor)
