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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cellcrate_runtime.images.beneath import OPAQUE, OPAQUE_FOR_ALL, is_whiteout
from cellcrate_runtime.linux import safe_paths

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
    with ExitStack() as stack:
        root, *lower = (stack.enter_context(_opened(path)) for path in (layer, *below))
        comparison = _Comparison(root)
        comparison.visit("", lower)
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
    """Goes through a layer's folders, with those of the layers below beside them."""

    def __init__(self, root: int) -> None:
        self._root = root
        self.found = Changes()
        self.largest: list[tuple[int, str]] = []

    def visit(self, path: str, below: Sequence[int]) -> None:
        """Count a folder; ``below`` are the roots of the layers that are seen through it."""
        with ExitStack() as stack:
            folder = stack.enter_context(_inside(self._root, path, _FOLDER))
            if _is_opaque(folder):
                self.found.removed += bool(path)
                below = ()
            seen = _seen(path, below)
            folders = [
                name
                for name in os.listdir(folder)
                if self._count(folder, path, name, visible=name in seen)
            ]
        for name in folders:
            inner = f"{path}/{name}" if path else name
            self.visit(inner, _through(inner, below))

    def _count(self, folder: int, path: str, name: str, *, visible: bool) -> bool:
        """Count one name; return whether it is a folder."""
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return True
        if is_whiteout(status):
            self.found.removed += 1
            return False
        if visible:
            self.found.changed += 1
        else:
            self.found.added += 1
        if stat.S_ISREG(status.st_mode):
            self._weigh(status.st_size, f"/{path}/{name}" if path else f"/{name}")
        return False

    def _weigh(self, size: int, path: str) -> None:
        if len(self.largest) < BIGGEST:
            heapq.heappush(self.largest, (size, path))
        elif (size, path) > self.largest[0]:
            heapq.heapreplace(self.largest, (size, path))


def _seen(path: str, below: Sequence[int]) -> set[str]:
    """Return the names of a folder that the layers below show together, but for folders."""
    decided: set[str] = set()
    seen: set[str] = set()
    for root in below:
        try:
            with _inside(root, path, _FOLDER) as folder:
                for name in os.listdir(folder):
                    if name in decided:
                        continue
                    decided.add(name)
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if not is_whiteout(status) and not stat.S_ISDIR(status.st_mode):
                        seen.add(name)
        except FileNotFoundError:
            continue
    return seen


def _through(path: str, below: Sequence[int]) -> list[int]:
    """Return the layers whose part of a folder is seen: down to one that hides the others'."""
    roots: list[int] = []
    for root in below:
        try:
            with _inside(root, path, os.O_PATH | os.O_NOFOLLOW) as found:
                if not stat.S_ISDIR(os.fstat(found).st_mode):
                    break
            roots.append(root)
            with _inside(root, path, _FOLDER) as folder:
                if _is_opaque(folder):
                    break
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            break
    return roots


def _entry(folder: int, name: str) -> Entry:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        descriptor = os.open(name, _FOLDER | os.O_CLOEXEC, dir_fd=folder)
        try:
            return Entry(_text(name), "folder", 0, mode, "", _is_opaque(descriptor))
        finally:
            os.close(descriptor)
    if stat.S_ISLNK(status.st_mode):
        return Entry(_text(name), "link", 0, mode, _text(os.readlink(name, dir_fd=folder)))
    if is_whiteout(status):
        return Entry(_text(name), "removed")
    kind = "file" if stat.S_ISREG(status.st_mode) else "special"
    return Entry(_text(name), kind, status.st_size, mode)


def _text(name: str) -> str:
    """Return a name that JSON can hold, whatever bytes it has on disk."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_opaque(folder: int) -> bool:
    try:
        return os.getxattr(folder, OPAQUE_FOR_ALL) == OPAQUE
    except OSError:
        return False


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
