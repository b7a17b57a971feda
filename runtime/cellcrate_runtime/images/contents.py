"""What is in the layers of an image: the files that each adds, changes and removes.

A layer is looked at as it lies unpacked on disk (:mod:`cellcrate_runtime.images.unpack`): a removed
file is overlayfs' whiteout, and an opaque folder hides what the layers below have in it. Somebody
else made the layer, so that no link in it is ever followed, not even within its root.
"""

from __future__ import annotations

import errno
import heapq
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cellcrate_runtime.images.merged import MergedTree, Parts
from cellcrate_runtime.linux import safe_paths
from cellcrate_runtime.linux.overlay_marks import is_opaque, is_whiteout_in

__all__ = ["BIGGEST", "Changes", "Entry", "changes", "content", "listing"]

#: How many of its biggest files are named of a layer.
BIGGEST = 5

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder of a layer.

    Attributes:
        name: The name.
        kind: file, folder, link, removed (what layers below have there is not seen) or special.
        size: The bytes of a file.
        mode: Its permissions.
        target: Where a link leads.
        opaque: Whether a folder hides what the layers below have in it.
    """

    name: str
    kind: str
    size: int = 0
    mode: int = 0
    target: str = ""
    opaque: bool = False


@dataclass(slots=True)
class Changes:
    """What a layer does to the layers below it; folders do not count.

    Attributes:
        added: Files that were not there.
        changed: Files that take another's place.
        removed: Names that are taken away, and folders that hide what was in them.
        biggest: The biggest files, as (path, bytes), the biggest first.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    biggest: list[tuple[str, int]] = field(default_factory=list)


def changes(layer: Path, below: Sequence[Path]) -> Changes:
    """Compare a layer with those below it.

    Args:
        layer: The folder of its files.
        below: The folders of the layers below, topmost first.

    Raises:
        OSError: A folder cannot be read.
    """
    with _opened(layer) as root:
        comparison = _Comparison(root, MergedTree([str(folder) for folder in below]))
        comparison.visit((), hidden=False)
    comparison.found.biggest = sorted(
        ((path, size) for size, path in comparison.largest), key=lambda each: (-each[1], each[0])
    )
    return comparison.found


def listing(layer: Path, path: str) -> list[Entry]:
    """Return what a layer has in a folder, folders first.

    Raises:
        FileNotFoundError: The layer has no such folder; NotADirectoryError: it is none.
    """
    with _opened(layer) as root, _inside(root, path, _FOLDER) as folder:
        names = os.listdir(folder)
        entries = [_entry(folder, name) for name in names]
    return sorted(entries, key=lambda each: (each.kind != "folder", each.name))


def content(layer: Path, path: str, limit: int) -> tuple[bytes, int]:
    """Return the first bytes of a file of a layer, and how many it has.

    Raises:
        FileNotFoundError: The layer has no such file.
        IsADirectoryError: It is a folder; OSError(EINVAL): it is a link, a device or a pipe.
    """
    with _opened(layer) as root, _inside(root, path, os.O_PATH | os.O_NOFOLLOW) as found:
        status = os.fstat(found)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", path)
        with _inside(root, path, os.O_RDONLY | os.O_NOFOLLOW) as descriptor:
            return _first(descriptor, limit), status.st_size


def _first(descriptor: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    while limit > 0 and (piece := os.read(descriptor, limit)):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


class _Comparison:
    """Goes through a layer's folders, with what the layers below show beside them."""

    def __init__(self, root: int, below: MergedTree) -> None:
        self._root = root
        self._below = below
        self.found = Changes()
        self.largest: list[tuple[int, str]] = []

    def visit(self, parts: Parts, *, hidden: bool) -> None:
        """Count a folder; where it is hidden, nothing of the layers below is seen in it."""
        with _inside(self._root, "/".join(parts), _FOLDER) as folder:
            if parts and is_opaque(folder):
                self.found.removed += 1
                hidden = True
            names = os.listdir(folder)
            folders = [name for name in names if self._count(folder, (*parts, name), hidden=hidden)]
        for name in folders:
            self.visit((*parts, name), hidden=hidden)

    def _count(self, folder: int, parts: Parts, *, hidden: bool) -> bool:
        """Count one name; return whether it is a folder."""
        status = os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return True
        if is_whiteout_in(folder, parts[-1], status):
            self.found.removed += 1
            return False
        before = None if hidden else self._below.at(parts)
        if before is not None and not before.is_folder:
            self.found.changed += 1
        else:
            self.found.added += 1
        if stat.S_ISREG(status.st_mode):
            self._weigh(status.st_size, f"/{'/'.join(parts)}")
        return False

    def _weigh(self, size: int, path: str) -> None:
        if len(self.largest) < BIGGEST:
            heapq.heappush(self.largest, (size, path))
        elif (size, path) > self.largest[0]:
            heapq.heapreplace(self.largest, (size, path))


def _entry(folder: int, name: str) -> Entry:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        descriptor = os.open(name, _FOLDER | os.O_CLOEXEC, dir_fd=folder)
        try:
            return Entry(_text(name), "folder", 0, mode, "", is_opaque(descriptor))
        finally:
            os.close(descriptor)
    if stat.S_ISLNK(status.st_mode):
        return Entry(_text(name), "link", 0, mode, _text(os.readlink(name, dir_fd=folder)))
    if is_whiteout_in(folder, name, status):
        return Entry(_text(name), "removed")
    kind = "file" if stat.S_ISREG(status.st_mode) else "special"
    return Entry(_text(name), kind, status.st_size, mode)


def _text(name: str) -> str:
    """Return a name that JSON can hold, whatever bytes it has on disk."""
    return os.fsencode(name).decode("utf-8", "replace")


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _inside(root: int, path: str, flags: int) -> Iterator[int]:
    """Open a path of a layer without following any link."""
    try:
        descriptor = safe_paths.open_inside(root, path or ".", flags, links=False)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotADirectoryError(errno.ENOTDIR, "a link is on the way", path) from None
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)
