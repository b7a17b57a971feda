"""A layer as a list of entries: what COPY and ADD put together before anything is written.

From one plan come both the layer's archive and the digest of what is in it, so that what a cache is
asked for is what a layer would have. The digest leaves times out, as Docker's does.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from cellcrate_runtime.images.digests import Writable
from cellcrate_runtime.images.merged import MergedTree, Parts, resolve
from cellcrate_runtime.images.tar_writer import TarWriter, set_time
from cellcrate_runtime.linux.overlay_marks import is_mark

__all__ = ["Entry", "LayerPlan", "is_portable"]

_PAX_XATTR = "SCHILY.xattr."
_PIECE = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


@dataclass(slots=True)
class Entry:
    """A file of a layer.

    Attributes:
        kind: S_IFREG, S_IFDIR, S_IFLNK or S_IFIFO, see inode(7).
        mode: Its permissions.
        mtime: Nanoseconds since 1970.
        link: Where a symbolic link leads.
        path: The file on this machine that has its content; empty if it has none, or its own.
        content: Its content where no file has it.
        identity: The same for two names of one file; None for what has one name.
        attributes: Extended attributes.
    """

    kind: int
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: str | None = None
    path: str = ""
    content: bytes = b""
    identity: tuple[int, int] | None = None
    attributes: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_folder(self) -> bool:
        """Whether something may lie in it."""
        return self.kind == stat.S_IFDIR

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Entry:
        """Describe a file of this machine.

        Raises:
            ValueError: It is a device or a socket.
        """
        kind = stat.S_IFMT(status.st_mode)
        if kind not in _TYPES:
            raise ValueError("it is a device or a socket")
        has_names = status.st_nlink > 1 and kind == stat.S_IFREG
        return cls(
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime=status.st_mtime_ns,
            link=os.readlink(path) if kind == stat.S_IFLNK else None,
            path=path if kind == stat.S_IFREG else "",
            identity=(status.st_dev, status.st_ino) if has_names else None,
            attributes=_attributes(path) if kind in (stat.S_IFREG, stat.S_IFDIR) else {},
        )


class LayerPlan:
    """The entries of a layer that is put upon others.

    Args:
        base: The layers below.
        latest: No file is to be later than this, in seconds since 1970; None for any time.
    """

    def __init__(self, base: MergedTree, latest: int | None = None) -> None:
        self.base = base
        self._latest = None if latest is None else latest * 1_000_000_000
        self._entries: dict[Parts, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, parts: Parts) -> Entry | None:
        """What a path has when this layer lies upon the others; None where nothing is."""
        if parts in self._entries:
            return self._entries[parts]
        for above in range(1, len(parts)):
            entry = self._entries.get(parts[:above])
            if entry is not None and not entry.is_folder:
                return None
        node = self.base.at(parts)
        try:
            return Entry.of(node.path, node.status) if node is not None else None
        except ValueError:
            return Entry(stat.S_IFIFO, 0)  # a device of the base: something that is no folder

    def resolve(self, path: str, *, last: bool = True) -> Parts:
        """Where a path leads through the links of this layer and those below.

        Raises:
            OSError: ELOOP, it leads through too many links.
        """
        return resolve(self.look, path, last=last)

    def add(self, parts: Parts, entry: Entry) -> None:
        """Put an entry at a resolved path, whose folders must be there (:meth:`make_folders`)."""
        before = self._entries.get(parts)
        if before is not None and before.is_folder and not entry.is_folder:
            for below in [one for one in self._entries if one[: len(parts)] == parts]:
                del self._entries[below]
        self._entries[parts] = entry

    def make_folders(self, parts: Parts, new: Entry) -> None:
        """See that a resolved path is a folder, and those above it; what is missing is as ``new``.

        Folders of the layers below are entries as well, as they are: a layer says for each of its
        files what the folders are like that it lies in.

        Raises:
            NotADirectoryError: Something on the way is a file.
        """
        for count in range(1, len(parts) + 1):
            above = parts[:count]
            if above in self._entries and self._entries[above].is_folder:
                continue
            found = self.look(above)
            if found is not None and not found.is_folder:
                raise NotADirectoryError("/" + "/".join(above))
            self._entries[above] = found or new

    def write(self, output: Writable) -> None:
        """Write the layer's archive; the same entries give the same bytes."""
        archive = TarWriter(output)
        first_names: dict[tuple[int, int], str] = {}
        for parts, entry in self._sorted():
            name = "/".join(parts)
            header = self._header(name, entry)
            if entry.identity is not None:
                first = first_names.setdefault(entry.identity, name)
                if first != name:
                    header.type, header.linkname, header.size = tarfile.LNKTYPE, first, 0
                    archive.add(header)
                    continue
            archive.add(header, _content(entry, header.size))
        archive.finish()

    def digest(self) -> str:
        """The SHA-256 of all that the layer has but times, in hexadecimal digits."""
        whole = hashlib.sha256()
        for parts, entry in self._sorted():
            described = (
                *("/".join(parts).encode("utf-8", "surrogateescape"), entry.kind, entry.mode),
                *(entry.uid, entry.gid, os.fsencode(entry.link or "")),
                sorted(entry.attributes.items()),
                _content_digest(entry) if entry.kind == stat.S_IFREG else b"",
            )
            whole.update(msgspec.msgpack.encode(described))
        return whole.hexdigest()

    def _sorted(self) -> list[tuple[Parts, Entry]]:
        return sorted(self._entries.items())

    def _header(self, name: str, entry: Entry) -> tarfile.TarInfo:
        header = tarfile.TarInfo(name)
        header.type = _TYPES[entry.kind]
        header.mode = entry.mode
        header.uid, header.gid = entry.uid, entry.gid
        header.linkname = entry.link or ""
        if entry.kind == stat.S_IFREG:
            header.size = os.lstat(entry.path).st_size if entry.path else len(entry.content)
        header.pax_headers = {
            _PAX_XATTR + key: value.decode("utf-8", "surrogateescape")
            for key, value in sorted(entry.attributes.items())
        }
        set_time(header, entry.mtime if self._latest is None else min(entry.mtime, self._latest))
        return header


def _content(entry: Entry, size: int) -> Iterator[bytes]:
    """The content of a file, as many bytes as its header has promised."""
    if not entry.path:
        if size:
            yield entry.content
        return
    descriptor = os.open(entry.path, _READ)
    try:
        while size:
            piece = os.read(descriptor, min(size, _PIECE))
            if not piece:
                raise OSError(f"{entry.path} became shorter while it was copied")
            size -= len(piece)
            yield piece
    finally:
        os.close(descriptor)


def _content_digest(entry: Entry) -> bytes:
    if not entry.path:
        return hashlib.sha256(entry.content).digest()
    with open(entry.path, "rb", opener=lambda path, _: os.open(path, _READ)) as file:
        return hashlib.file_digest(file, "sha256").digest()


def is_portable(attribute: str) -> bool:
    """Whether an extended attribute means the same on every machine."""
    if attribute.startswith("user."):
        return not is_mark(attribute)
    return attribute == "security.capability"


def _attributes(path: str) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}  # some file systems know none
    return {
        name: os.getxattr(path, name, follow_symlinks=False) for name in names if is_portable(name)
    }
