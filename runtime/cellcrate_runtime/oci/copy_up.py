"""Fill a new file system in memory with what the image has at its place (``tmpcopyup``)."""

from __future__ import annotations

import os
import stat

__all__ = ["copy_contents"]

_AT_ONCE = 16 * 1024 * 1024  # bytes
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_contents(source: int, target: int) -> None:
    """Copy what is in one open folder to another: folders, files, links, owners, modes and times.

    Everything is reached from the two descriptors, a name at a time, and no link is followed.
    """
    _copy_folder(".", source, target)


def _copy_folder(name: str, source: int, target: int) -> None:
    here = os.open(name, _FOLDER, dir_fd=source)
    try:
        there = os.open(name, _FOLDER, dir_fd=target)
        try:
            _copy_entries(here, there)
        finally:
            os.close(there)
    finally:
        os.close(here)


def _copy_entries(source: int, target: int) -> None:
    with os.scandir(source) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            _copy_folder(name, source, target)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(name, source, target)
        else:
            continue  # sockets, pipes and devices are made by programs, not copied
        _copy_status(name, status, target)


def _copy_file(name: str, source: int, target: int) -> None:
    here = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        there = os.open(
            name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target
        )
        try:
            while os.sendfile(there, here, None, _AT_ONCE):
                pass
        finally:
            os.close(there)
    finally:
        os.close(here)


def _copy_status(name: str, status: os.stat_result, target: int) -> None:
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
