"""Paths of a container as ``docker cp`` means them; ``/`` is the container's root.

Source: moby, daemon/archive_unix.go: a trailing ``/`` or ``/.`` follows a link at the end of a
path, and the names in an archive begin with the last part of the path that was asked for.
"""

from __future__ import annotations

import os
import posixpath
import stat

from cellcrate_runtime.engine.protocol import PathStat
from cellcrate_runtime.engine.workers.answers import TaskError

__all__ = ["absolute", "describe", "go_mode", "last_part"]

# Bits of Go's fs.FileMode, which Docker's API exposes as a number. Source: Go, io/fs, "FileMode".
_DIRECTORY = 1 << 31
_SYMLINK = 1 << 27
_DEVICE = 1 << 26
_NAMED_PIPE = 1 << 25
_SOCKET = 1 << 24
_SETUID = 1 << 23
_SETGID = 1 << 22
_CHARACTER_DEVICE = 1 << 21
_STICKY = 1 << 20

_KINDS = {
    stat.S_IFDIR: _DIRECTORY,
    stat.S_IFLNK: _SYMLINK,
    stat.S_IFBLK: _DEVICE,
    stat.S_IFCHR: _DEVICE | _CHARACTER_DEVICE,
    stat.S_IFIFO: _NAMED_PIPE,
    stat.S_IFSOCK: _SOCKET,
}


def absolute(path: str) -> str:
    """The path from the root on, without ``..`` and double slashes; its end is kept as it was."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith("/.") or path == ".":
        return clean.rstrip("/") + "/."
    if path.endswith("/"):
        return clean.rstrip("/") + "/"
    return clean


def last_part(path: str) -> str:
    """What Go's filepath.Base says: ``/`` for the root, ``.`` for a path that ends with it."""
    return posixpath.basename(path.rstrip("/")) or "/"


def describe(path: str) -> PathStat:
    """Describe a path; a link at its end is described itself, with where it leads.

    Raises:
        TaskError: There is nothing there.
        OSError: It cannot be looked at.
    """
    path = absolute(path)
    try:
        status = os.lstat(path)
    except FileNotFoundError as error:
        message = f"Could not find the file {path} in the container"
        raise TaskError("not_found", message) from error
    is_link = stat.S_ISLNK(status.st_mode)
    return PathStat(
        name=last_part(path),
        size=status.st_size,
        mode=go_mode(status.st_mode),
        mtime=status.st_mtime_ns,
        link_target=os.path.realpath(path) if is_link else "",
    )


def go_mode(mode: int) -> int:
    """Translate a mode of stat(2)."""
    result = mode & 0o777 | _KINDS.get(stat.S_IFMT(mode), 0)
    for bit, translated in (
        (stat.S_ISUID, _SETUID),
        (stat.S_ISGID, _SETGID),
        (stat.S_ISVTX, _STICKY),
    ):
        if mode & bit:
            result |= translated
    return result
