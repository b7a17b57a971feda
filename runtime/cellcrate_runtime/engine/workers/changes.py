"""What a container's writable layer changes in its image: ``docker diff``.

Only the writable layer is walked, so that this takes as long as there are changes. What counts as
one is Docker's decision (moby, vendor go-archive's changes.go): kind, mode, owner and device
always, size and time of everything but folders; a folder in which something changed is listed too.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from typing import Literal, TypeAlias

from cellcrate_runtime.engine.protocol import Change, ChangesFound, Rootfs
from cellcrate_runtime.engine.root_file_system import in_user_namespace
from cellcrate_runtime.engine.workers.answers import Answers
from cellcrate_runtime.linux.overlay_marks import is_opaque, is_whiteout_in

__all__ = ["find_changes", "is_unchanged", "send_changes"]

_BATCH = 500  # so that a message stays well below its longest, with paths of 100 bytes
_BATCH_BYTES = 96 * 1024

Kind: TypeAlias = Literal[0, 1, 2]
MODIFIED: Kind = 0
ADDED: Kind = 1
DELETED: Kind = 2


def send_changes(rootfs: Rootfs, hidden: Collection[str], answers: Answers) -> None:
    """Send what a container has changed.

    Args:
        rootfs: Its layers.
        hidden: Paths, such as mount points, that the runtime makes and Docker does not show.
        answers: Where they go.
    """
    batch: list[Change] = []
    size = 0
    for change in find_changes(rootfs, hidden):
        batch.append(change)
        size += len(change.path.encode("utf-8", "surrogateescape"))
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            answers.send(ChangesFound(changes=batch))
            batch, size = [], 0
    if batch:
        answers.send(ChangesFound(changes=batch))


def find_changes(rootfs: Rootfs, hidden: Collection[str] = ()) -> Iterator[Change]:
    """Yield the changes in the order of their paths, each folder before what is in it."""
    with contextlib.ExitStack() as held:
        lower = [held.enter_context(_opened(folder)) for folder in rootfs.lower]
        upper = held.enter_context(_opened(rootfs.upper))
        yield from _Comparison(frozenset(hidden)).folder("", upper, lower)


def is_unchanged(rootfs: Rootfs, path: str) -> bool:
    """Whether a folder of the writable layer is, but for what is in it, as the image has it.

    One that the image does not have counts as well: what lies in it says whether it is a change.

    Args:
        rootfs: The container's layers.
        path: The folder's path in the container, absolute.
    """
    *folders, name = path.strip("/").split("/")
    with contextlib.ExitStack() as held:
        lower = [held.enter_context(_opened(folder)) for folder in rootfs.lower]
        upper = held.enter_context(_opened(rootfs.upper))
        for folder in folders:
            if is_opaque(upper, userxattr=in_user_namespace()):
                lower = []
            try:
                upper = held.enter_context(_opened(folder, upper))
            except (FileNotFoundError, NotADirectoryError):
                return False
            lower = [held.enter_context(_opened(folder, one)) for one in _layers_of(folder, lower)]
        new = _status(name, upper)
        old = None if is_opaque(upper, userxattr=in_user_namespace()) else _seen_below(name, lower)
        return new is not None and (old is None or not _differ(old, new))


class _Comparison:
    def __init__(self, hidden: frozenset[str]) -> None:
        self._hidden = hidden

    def folder(self, path: str, upper: int, lower: list[int]) -> Iterator[Change]:
        """Compare a folder of the writable layer with what the image has there.

        Args:
            path: The folder's path in the container; empty for the root.
            upper: The folder, open.
            lower: The same folder in the layers that have it, topmost first, open.
        """
        names = set(os.listdir(upper))
        if is_opaque(upper, userxattr=in_user_namespace()):
            below = {name for folder in lower for name in os.listdir(folder)}
            names |= {name for name in below if _seen_below(name, lower) is not None}
        for name in sorted(names):
            child = f"{path}/{name}"
            yield from self._entry(child, name, upper, lower)

    def _entry(self, path: str, name: str, upper: int, lower: list[int]) -> Iterator[Change]:
        old = _seen_below(name, lower)
        new = _status(name, upper)
        if new is None or is_whiteout_in(upper, name, new):
            if old is not None:
                yield Change(path=_printable(path), kind=DELETED)
            return
        kind: Kind | None = MODIFIED
        if old is None:
            kind = ADDED
        elif not _differ(old, new):
            kind = None
        if path in self._hidden and not (stat.S_ISREG(new.st_mode) and new.st_size):
            kind = None
        inside: Iterator[Change] = iter(())
        if stat.S_ISDIR(new.st_mode):
            inside = self._below(path, name, upper, lower)
        if kind is None:
            # A folder is listed once something in it is.
            first = next(inside, None)
            if first is None:
                return
            yield Change(path=_printable(path), kind=MODIFIED)
            yield first
        else:
            yield Change(path=_printable(path), kind=kind)
        yield from inside

    def _below(self, path: str, name: str, upper: int, lower: list[int]) -> Iterator[Change]:
        with contextlib.ExitStack() as held:
            inner = held.enter_context(_opened(name, upper))
            layers = [held.enter_context(_opened(name, one)) for one in _layers_of(name, lower)]
            yield from self.folder(path, inner, layers)


@contextlib.contextmanager
def _opened(name: str, parent: int | None = None) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if parent else 0)
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _seen_below(name: str, lower: list[int]) -> os.stat_result | None:
    """What the image has under a name in a folder; the topmost layer that says something wins."""
    for folder in lower:
        status = _status(name, folder)
        if status is not None:
            return None if is_whiteout_in(folder, name, status) else status
        if is_opaque(folder):
            return None
    return None


def _layers_of(name: str, lower: list[int]) -> list[int]:
    """The layers whose folders of a name are merged."""
    found = []
    for folder in lower:
        status = _status(name, folder)
        if status is not None:
            if not stat.S_ISDIR(status.st_mode):
                break
            found.append(folder)
        if is_opaque(folder):
            break
    return found


def _differ(old: os.stat_result, new: os.stat_result) -> bool:
    def always(status: os.stat_result) -> tuple[int, ...]:
        return status.st_mode, status.st_uid, status.st_gid, status.st_rdev

    if always(old) != always(new):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    return old.st_mtime_ns != new.st_mtime_ns or old.st_size != new.st_size


def _printable(path: str) -> str:
    """A path as JSON can hold it: names need not be UTF-8."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
