"""What overlayfs writes beside files in a writable layer, to say what is hidden below it.

Each mark has two names: ``trusted.overlay.*``, and ``user.overlay.*`` in mounts with the option
``userxattr``, the only kind that can be made in a user namespace.

Source: the kernel's Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories",
"Redirecting directories", "Metadata only copy up".
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TypeAlias

__all__ = [
    "File",
    "is_mark",
    "is_opaque",
    "is_whiteout",
    "is_whiteout_in",
    "leads_elsewhere",
    "make_opaque",
]

File: TypeAlias = str | int
"""A path, whose last part is not followed, or an open file."""

_SPACES = ("trusted.overlay.", "user.overlay.")
_OPAQUE, _YES = "opaque", b"y"


def is_whiteout(status: os.stat_result, file: File) -> bool:
    """Whether this is no file, but the mark that a file below is removed."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    # The newer mark, for a layer that is itself kept on an overlay: an empty file.
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    return _value(file, "whiteout") is not None


def is_whiteout_in(folder: int, name: str, status: os.stat_result) -> bool:
    """The same for a name in an open folder."""
    return is_whiteout(status, f"/proc/self/fd/{folder}/{name}")


def is_opaque(folder: File, *, userxattr: bool | None = None) -> bool:
    """Whether a folder hides everything that is in the folders of its name below.

    Args:
        folder: The folder.
        userxattr: Which mark counts, by how the overlay is mounted; None for either. In a writable
            layer the other one may be a copy of what a layer below has, and means nothing there.
    """
    return _value(folder, _OPAQUE, _spaces(userxattr)) == _YES


def make_opaque(folder: int) -> None:
    """Have an open folder hide what is in the folders of its name below, in mounts of either kind.

    Raises:
        OSError: The file system has no extended attributes.
    """
    os.setxattr(folder, _SPACES[1] + _OPAQUE, _YES)
    # Only the machine's root may; and only its mounts look for it.
    with contextlib.suppress(PermissionError):
        os.setxattr(folder, _SPACES[0] + _OPAQUE, _YES)


def leads_elsewhere(file: File) -> bool:
    """Whether the content of a file or folder lies below, under the same or another name."""
    try:
        names = os.listxattr(file, follow_symlinks=isinstance(file, int))
    except OSError:
        return False
    return any(space + mark in names for space in _SPACES for mark in ("redirect", "metacopy"))


def is_mark(attribute: str) -> bool:
    """Whether an extended attribute is overlayfs' own."""
    return attribute.startswith(_SPACES)


def _spaces(userxattr: bool | None) -> tuple[str, ...]:
    return _SPACES if userxattr is None else (_SPACES[1 if userxattr else 0],)


def _value(file: File, mark: str, spaces: tuple[str, ...] = _SPACES) -> bytes | None:
    for space in spaces:
        try:
            return os.getxattr(file, space + mark, follow_symlinks=isinstance(file, int))
        except OSError:
            continue
    return None
