"""Files that are there whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cellcrate_runtime.images.errors import StoreFullError

__all__ = [
    "locked",
    "remove_tree",
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
            f"there is no room left for images on the disk that holds {folder}. Remove some with "
            "`cellcrate image rm`, or set CELLCRATE_HOME to a folder on another disk."
        ) from error


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, also folders that deny their owner to write.

    A folder that is not there is no error. Symbolic links are removed, never followed.
    """
    # Once more for every level of closed folders that the last round has opened.
    while path.exists():
        refused: list[str] = []
        _remove(path, refused)
        if refused and not _opened(refused):
            raise PermissionError(errno.EACCES, "cannot be removed", refused[0])


def _remove(path: Path, refused: list[str]) -> None:
    def note(function: Callable[..., Any], name: str, error: BaseException) -> None:
        if isinstance(error, PermissionError):
            refused.append(name)
        elif not isinstance(error, FileNotFoundError) and not refused:
            # After a refusal it is no wonder that the folders above are not empty.
            raise error

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=note)
    else:
        shutil.rmtree(path, onerror=lambda function, name, info: note(function, name, info[1]))


def _opened(names: Sequence[str]) -> bool:
    """Let the owner into folders that something could not be removed from; False if none needed."""
    changed = False
    for name in names:
        for folder in (os.path.dirname(name), name):
            status = os.lstat(folder)
            if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                os.chmod(folder, status.st_mode | stat.S_IRWXU)
                changed = True
    return changed


def sync_file_system(path: Path) -> None:
    """Flush everything that was written to the file system of a folder; see syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(path))
    finally:
        os.close(descriptor)
