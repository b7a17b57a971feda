"""A plan becomes a layer: the folder that overlayfs mounts and the archive that is the blob.

Both are written in one pass over the files, which are read once. The same plan gives the same
bytes: names are sorted, owners are root, times come from the plan.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from cellcrate_runtime.images.digests import HashingWriter
from cellcrate_runtime.images.errors import PackError
from cellcrate_runtime.images.layers import LayerInfo
from cellcrate_runtime.images.packer.plan import Item, Plan
from cellcrate_runtime.images.tar_writer import TarWriter

__all__ = ["write_layer"]

PIECE = 1 << 18


def write_layer(plan: Plan, folder: Path, archive: HashingWriter) -> LayerInfo:
    """Write a plan into an empty folder and, as a tar archive, into a blob.

    Args:
        plan: What to write.
        folder: Where to write the files.
        archive: What takes the archive, which starts empty.

    Raises:
        PackError: A file changed or vanished meanwhile.
    """
    writer = _LayerWriter(folder, archive, plan.newest())
    for name, item in plan.sorted():
        writer.add(name, item)
    return writer.finish()


class _LayerWriter:
    """Writes items into a folder and into an archive."""

    def __init__(self, folder: Path, archive: HashingWriter, time: int) -> None:
        self._folder = folder
        self._archive = TarWriter(archive)
        # Of what has no time of its own: folders, links, files that were made up.
        self._time = time
        self._folders: list[tuple[str, Item]] = []
        # The first name of every file of this machine: further ones become hard links to it.
        self._first_names: dict[tuple[int, int, int], str] = {}
        self._size = 0
        self._files = 0

    def add(self, name: str, item: Item) -> None:
        path = self._path(name)
        if item.type == stat.S_IFDIR:
            if name != "/":
                os.mkdir(path)
            self._folders.append((name, item))
            self._archive.add(self._entry(name, item, tarfile.DIRTYPE))
        elif item.type == stat.S_IFLNK:
            os.symlink(item.target, path)
            self._archive.add(self._entry(name, item, tarfile.SYMTYPE, linkname=item.target))
            self._describe(path, item)
        elif item.source is None:
            self._add_content(name, path, item, (item.content,))
        else:
            self._add_source(name, path, item, item.source)
        self._files += 1

    def finish(self) -> LayerInfo:
        for name, item in reversed(self._folders):
            self._describe(self._path(name), item)
        self._archive.finish()
        return LayerInfo(self._size, self._files)

    def _add_source(self, name: str, path: str, item: Item, source: Path) -> None:
        with ExitStack() as stack:
            try:
                file = stack.enter_context(source.open("rb", buffering=0))
            except OSError as error:
                raise PackError(f"cannot pack {source}: {error.strerror}") from error
            status = os.fstat(file.fileno())
            first = self._first_names.setdefault((status.st_dev, status.st_ino, item.size), name)
            if first != name:
                os.link(self._path(first), path)
                link = self._entry(name, item, tarfile.LNKTYPE, linkname=first.lstrip("/"))
                self._archive.add(link)
                return
            pieces = stack.enter_context(closing(_exactly(file.fileno(), item.size, source)))
            self._add_content(name, path, item, pieces)

    def _add_content(self, name: str, path: str, item: Item, pieces: Iterable[bytes]) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            entry = self._entry(name, item, tarfile.REGTYPE, size=item.size)
            self._archive.add(entry, _written(descriptor, pieces))
            os.fchmod(descriptor, item.mode)
            mtime = self._time_of(item) * 1_000_000_000
            os.utime(descriptor, ns=(mtime, mtime))
        finally:
            os.close(descriptor)
        self._size += item.size

    def _describe(self, path: str, item: Item) -> None:
        if item.type == stat.S_IFDIR:
            os.chmod(path, item.mode)
        mtime = self._time_of(item) * 1_000_000_000
        os.utime(path, ns=(mtime, mtime), follow_symlinks=False)

    def _entry(
        self, name: str, item: Item, kind: bytes, *, size: int = 0, linkname: str = ""
    ) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name.lstrip("/") or ".")
        entry.type = kind
        entry.mode = item.mode
        entry.size = size
        entry.mtime = self._time_of(item)
        entry.linkname = linkname
        return entry

    def _time_of(self, item: Item) -> int:
        return self._time if item.mtime is None else item.mtime

    def _path(self, name: str) -> str:
        return f"{self._folder}{name}"


def _exactly(descriptor: int, size: int, source: Path) -> Generator[bytes, None, None]:
    """Read as many bytes as the archive's header has promised."""
    left = size
    while left:
        piece = os.read(descriptor, min(left, PIECE))
        if not piece:
            raise PackError(f"{source} became shorter while it was packed. Try again.")
        left -= len(piece)
        yield piece


def _written(descriptor: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pass on a file's content, and write it into another file on the way."""
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        yield piece
