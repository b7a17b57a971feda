"""A tar archive, entry by entry, from a stream that is read once.

Python's tarfile reads more kinds of archive, and what it says of an entry is not what the archive
says: a time is a float, an extended attribute is text, and a PAX header is read whole, whatever its
size. It also takes several times as long for a small file, and layers are made of small files.

What POSIX leaves open is done as Go's archive/tar does it, which every other container engine reads
layers with: a hard link has no content of its own, a global PAX header changes nothing (Docker,
containerd and containers/storage leave it out), and an archive may end without its two empty
blocks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cellcrate_runtime.images import tar_sparse
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import InvalidArchiveError, printable
from cellcrate_runtime.images.tar_headers import (
    BLOCK,
    Header,
    decimal,
    nanoseconds,
    parse_header,
    parse_records,
)
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["BLOCK_DEVICE", "CHARACTER_DEVICE", "FIFO", "FILE", "FOLDER", "HARD_LINK", "LINK"]
__all__ += ["Entry", "read_tar"]

FILE, HARD_LINK, LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FOLDER, FIFO = (b"%d" % n for n in range(7))
_OLD_FILE, _CONTIGUOUS_FILE, _SPARSE_FILE = b"\0", b"7", b"S"
_PAX, _GLOBAL_PAX, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_WITHOUT_CONTENT = (HARD_LINK, LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FOLDER, FIFO)
_EMPTY_BLOCK = bytes(BLOCK)
# What Go's archive/tar takes for a PAX header or a long name (maxSpecialFileSize), so that no
# archive that others can read is refused.
_LARGEST_HEADER = 1 << 20
_SECOND = 1_000_000_000  # nanoseconds
_XATTR = b"SCHILY.xattr."
_SPARSE_MAP = b"GNU.sparse.map"


class Entry:
    """One entry of an archive.

    Attributes:
        name: As the archive has it; bytes that are no UTF-8 as os.fsdecode() has them.
        kind: ``FILE``, ``FOLDER``...; or a byte that is none of them.
        mtime: In nanoseconds since 1970.
        size: Of the file, its holes included, in bytes.
        linkname: What a link points to.
        device: Major and minor number.
        xattrs: Extended attributes, of whatever name.
        extents: Where the pieces of a file with holes go; None for a file without.
    """

    __slots__ = (
        "device", "extents", "gid", "kind", "linkname", "mode", "mtime", "name", "size", "stored",
        "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, header: Header) -> None:
        self.kind = FILE if header.kind in (_OLD_FILE, _CONTIGUOUS_FILE) else header.kind
        if header.kind == _OLD_FILE and header.name.endswith(b"/"):
            self.kind = FOLDER  # as archives of before 1988 have it
        self.name = os.fsdecode(header.name)
        self.linkname = os.fsdecode(header.linkname)
        self.mode = header.mode
        self.uid = header.uid
        self.gid = header.gid
        self.mtime = header.mtime * _SECOND
        self.size = header.size
        self.stored = header.size  # bytes of it that the archive has, without holes
        self.device = header.major, header.minor
        self.xattrs: dict[str, bytes] = {}
        self.extents: list[tar_sparse.Extent] | None = None

    @property
    def shown(self) -> str:
        """Its name, for a message."""
        return printable(self.name)

    def pieces(self, stream: Stream) -> Iterator[memoryview]:
        """Its content as the archive has it. To be read before the next entry, or not at all."""
        stored, self.stored = self.stored, 0
        yield from stream.pieces(stored)


def read_tar(source: Readable) -> Iterator[tuple[Entry, Stream]]:
    """The entries of an archive, each with the stream to read its content from.

    Raises:
        InvalidArchiveError: It is no tar archive, or is damaged, or ends too early.
    """
    stream = Stream(source)
    pending: dict[bytes, bytes] = {}
    while (block := stream.take_if_any(BLOCK)) is not None:
        if block == _EMPTY_BLOCK:
            if stream.take_if_any(BLOCK) not in (None, _EMPTY_BLOCK):
                raise InvalidArchiveError("the archive goes on after an empty block.")
            return
        header = parse_header(block)
        if header.size < 0:
            raise InvalidArchiveError("the archive has an entry of less than no bytes.")
        if header.kind in (_PAX, _LONG_NAME, _LONG_LINK, _GLOBAL_PAX):
            content = _read_header(stream, header.size)
            stream.skip(-header.size % BLOCK)
            if header.kind != _GLOBAL_PAX:
                pending[header.kind] = content
            continue
        entry = Entry(header)
        if header.kind == _SPARSE_FILE:
            entry.kind = FILE
            entry.size, entry.extents = tar_sparse.from_block(block, stream)
        _apply(entry, pending, stream)
        pending.clear()
        if entry.kind in _WITHOUT_CONTENT:
            entry.size = entry.stored = 0
        if entry.extents is not None:
            entry.extents = tar_sparse.checked(entry.extents, entry.size, entry.stored)
        padding = -entry.stored % BLOCK
        yield entry, stream
        stream.skip(entry.stored + padding)


def _read_header(stream: Stream, size: int) -> bytes:
    if size > _LARGEST_HEADER:
        raise InvalidArchiveError(
            f"the archive has a header of {size} bytes; {_LARGEST_HEADER} are the most that any "
            "program reads."
        )
    return stream.take(size)


def _apply(entry: Entry, pending: dict[bytes, bytes], stream: Stream) -> None:
    """Let the headers that came before an entry's own have their say."""
    if _LONG_NAME in pending:
        entry.name = os.fsdecode(pending[_LONG_NAME].partition(b"\0")[0])
    if _LONG_LINK in pending:
        entry.linkname = os.fsdecode(pending[_LONG_LINK].partition(b"\0")[0])
    if _PAX in pending:
        _apply_records(entry, pending[_PAX], stream)


def _apply_records(entry: Entry, content: bytes, stream: Stream) -> None:
    records: dict[bytes, bytes] = {}
    numbers: list[bytes] = []
    for keyword, value in parse_records(content):
        if keyword.startswith(_XATTR):
            entry.xattrs[os.fsdecode(keyword[len(_XATTR) :])] = value
        elif keyword in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            numbers.append(value)
        elif value or keyword == _SPARSE_MAP:
            records[keyword] = value
        # Of others an empty value means what the header's block says.
    get = records.get
    if text := get(b"path"):
        entry.name = os.fsdecode(text)
    if text := get(b"linkpath"):
        entry.linkname = os.fsdecode(text)
    if text := get(b"uid"):
        entry.uid = decimal(text)
    if text := get(b"gid"):
        entry.gid = decimal(text)
    if text := get(b"mtime"):
        entry.mtime = nanoseconds(text)
    if text := get(b"size"):
        entry.size = entry.stored = decimal(text)
    if entry.kind == FILE and any(keyword.startswith(b"GNU.sparse.") for keyword in records):
        _apply_sparse(entry, records, numbers, stream)


def _apply_sparse(
    entry: Entry, records: dict[bytes, bytes], numbers: list[bytes], stream: Stream
) -> None:
    if text := records.get(b"GNU.sparse.name"):
        entry.name = os.fsdecode(text)
    if records.get(b"GNU.sparse.major") == b"1":
        taken, entry.extents = tar_sparse.from_content(stream)
        entry.stored -= taken
    else:
        entry.extents = tar_sparse.from_records(records, numbers)
    size = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size")
    if size is not None and entry.extents is not None:
        entry.size = decimal(size)
