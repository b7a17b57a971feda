"""Paths inside a root that somebody else filled, such as an image: never followed out of it.

openat2(2) with RESOLVE_IN_ROOT treats the root as ``/`` for absolute paths, symbolic links and
``..`` alike, and fails rather than be raced. RESOLVE_NO_MAGICLINKS refuses ``/proc/<pid>/fd`` and
its like, which would jump anywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable

from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["follow", "make_directory", "make_file", "open_inside", "visit"]

_RESOLVE_NO_MAGICLINKS = 0x2
_RESOLVE_NO_SYMLINKS = 0x4
_RESOLVE_IN_ROOT = 0x10
_FOLDER_MODE = 0o755  # of folders above what was asked for
_MOST_LINKS = 40  # as the kernel's MAXSYMLINKS
_MOST_RACES = 100


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = [
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    ]


_openat2 = SystemCall("openat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def open_inside(root: int, path: str, flags: int = os.O_PATH, *, links: bool = True) -> int:
    """Open what ``path`` means to a process whose root directory is ``root``.

    Args:
        root: A directory descriptor.
        path: Absolute, or relative to ``root``.
        flags: As for open(2); O_CLOEXEC is added.
        links: Whether symbolic links on the way are followed (within the root) or an error, ELOOP.
    """
    resolve = _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS | (0 if links else _RESOLVE_NO_SYMLINKS)
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    for _ in range(_MOST_RACES):
        try:
            return _openat2(
                root, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how), about=path
            )
        except BlockingIOError:
            continue  # EAGAIN: something was renamed meanwhile, and ".." could not be trusted
    raise OSError(errno.EAGAIN, "the folders on its way keep being moved", path)


def make_directory(root: int, path: str, mode: int = 0o755) -> int:
    """Open a directory inside ``root``, making what is missing of it; an O_PATH descriptor."""
    try:
        return open_inside(root, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        _make(root, path, mode, directory=True)
        return open_inside(root, path, os.O_PATH | os.O_DIRECTORY)


def make_file(root: int, path: str, mode: int = 0o644) -> int:
    """Open a file inside ``root``, making it, and the folders above it, if missing (O_PATH)."""
    try:
        return open_inside(root, path)
    except FileNotFoundError:
        _make(root, path, mode, directory=False)
        return open_inside(root, path)


def _make(root: int, path: str, mode: int, *, directory: bool) -> None:
    """Make what is missing of a path inside ``root``."""
    folder, _, name = path.rpartition("/")
    try:
        # Nearly always the folder above is there, and nothing in it has the name.
        parent = open_inside(root, folder or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            _make_one(parent, name, mode, directory=directory)
        finally:
            os.close(parent)
    except (FileNotFoundError, FileExistsError):
        _make_step_by_step(root, path, mode, directory=directory)


def _make_step_by_step(root: int, path: str, mode: int, *, directory: bool) -> None:
    """Make whatever is missing on the way, too."""

    def make(parent: int, name: str, is_last: bool) -> None:
        with contextlib.suppress(FileExistsError):
            _make_one(
                parent,
                name,
                mode if is_last else _FOLDER_MODE,
                directory=directory or not is_last,
            )

    visit(root, path, make)


def visit(root: int, path: str, make: Callable[[int, str, bool], None]) -> None:
    """Walk ``path`` a component at a time, so that what is missing of it can be made.

    Links are followed by hand, because they may lead to what does not exist yet. Each step starts
    again at the root and refuses links, so a folder that is swapped for a link between two steps is
    an error and not a way out.

    Args:
        root: A directory descriptor.
        path: Absolute, or relative to ``root``.
        make: Called for each component that is no link, whether it is there or not, with the
            folder it belongs in (O_PATH), its name, and whether it is the last. If it leaves
            anything but a folder there, the next step fails.

    Raises:
        OSError: ELOOP, the way leads through too many links; ENOTDIR, a file is in the way.
    """

    def pass_by(above: list[str], name: str, is_last: bool) -> None:
        parent = open_inside(root, _joined(above), os.O_PATH | os.O_DIRECTORY, links=False)
        try:
            make(parent, name, is_last)
        finally:
            os.close(parent)

    follow(path, lambda names, _: _read_link(root, names), pass_by)


def follow(
    path: str,
    link_at: Callable[[list[str], bool], str | None],
    pass_by: Callable[[list[str], str, bool], None] | None = None,
) -> list[str]:
    """Follow a path through links by hand, with a root that nothing is above.

    Args:
        path: Absolute, or relative to the root.
        link_at: Where the link at a path leads, which is given as its names, and with whether they
            are the last; None for what is no link, or is not to be followed.
        pass_by: Called for each component that is no link, with the names of those above, its own,
            and whether it is the last.

    Returns:
        The names of where it leads.

    Raises:
        OSError: ELOOP, the way leads through too many links.
    """
    done: list[str] = []
    todo = _components(path)
    followed = 0
    while todo:
        name = todo.pop()
        if name == "..":
            del done[-1:]
            continue
        link = link_at([*done, name], not todo)
        if link is None:
            if pass_by is not None:
                pass_by(done, name, not todo)
            done.append(name)
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if link.startswith("/"):
            done.clear()
        todo += _components(link)
    return done


def _components(path: str) -> list[str]:
    """The names in ``path``, last first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _joined(names: list[str]) -> str:
    return "/".join(names) or "."


def _read_link(root: int, names: list[str]) -> str | None:
    """Where a symbolic link points to; None if it is something else, or nothing."""
    try:
        found = open_inside(root, _joined(names), os.O_PATH | os.O_NOFOLLOW, links=False)
    except FileNotFoundError:
        return None
    try:
        if not stat.S_ISLNK(os.fstat(found).st_mode):
            return None
        return os.readlink("", dir_fd=found)
    finally:
        os.close(found)


def _make_one(parent: int, name: str, mode: int, *, directory: bool) -> None:
    if directory:
        os.mkdir(name, mode, dir_fd=parent)
    else:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(name, flags, mode, dir_fd=parent))
