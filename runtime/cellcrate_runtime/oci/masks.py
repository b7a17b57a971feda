"""Paths that a container may not read, or may not write (``maskedPaths``, ``readonlyPaths``)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from cellcrate_runtime.linux import mounts, safe_paths

__all__ = ["hide", "make_read_only"]

_NULL = os.makedev(1, 3)  # Documentation/admin-guide/devices.txt
_NOTHING_IN_IT = mounts.MS_RDONLY | mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


def hide(root: int, paths: Iterable[str]) -> None:
    """Cover files with /dev/null and folders with an empty one; what is not there is skipped.

    It is the container's own /dev/null, if that is one: what it may change of it is not the host's.
    """
    empty: int | None = None
    null: int | None = None
    for path, place in _existing(root, paths):
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            if null is None:
                null = _open_null(root)
            _cover(place, mounts.open_tree("", at=null, clone=True))
        elif empty is None:
            mounts.mount_here("tmpfs", place, "tmpfs", _NOTHING_IN_IT, "size=0k,nr_inodes=1")
            empty = safe_paths.open_inside(root, path)
        else:
            _cover(place, mounts.open_tree("", at=empty, clone=True))
    for opened in (empty, null):
        if opened is not None:
            os.close(opened)


def _open_null(root: int) -> int:
    """The container's /dev/null, or else the host's."""
    try:
        found = safe_paths.open_inside(root, "/dev/null", os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return mounts.open_tree("/dev/null")
    status = os.fstat(found)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == _NULL:
        return found
    os.close(found)
    return mounts.open_tree("/dev/null")


def make_read_only(root: int, paths: Iterable[str]) -> None:
    """Mount files and folders over themselves, read-only; what is not there is skipped."""
    for _, place in _existing(root, paths):
        tree = mounts.open_tree("", at=place, clone=True, recursive=True)
        mounts.set_attributes(tree, set_=mounts.ATTR_RDONLY, recursive=True)
        _cover(place, tree)


def _cover(place: int, tree: int) -> None:
    try:
        mounts.attach(tree, place)
    finally:
        os.close(tree)


def _existing(root: int, paths: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in dict.fromkeys(paths):
        try:
            place = safe_paths.open_inside(root, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            yield path, place
        finally:
            os.close(place)
