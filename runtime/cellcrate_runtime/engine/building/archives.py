"""Archives that ADD unpacks: tar, whether gzip, bzip2, xz, zstd or nothing packs it.

What an archive is, its content says and not its name. Its files get names of our own while they
are unpacked, so that nothing in it can say where on this machine anything is written.
"""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from cellcrate_runtime.engine.building.layer_plan import PAX_XATTR, Entry
from cellcrate_runtime.images.beneath import split_path
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import ImageError, InvalidArchiveError
from cellcrate_runtime.images.merged import Parts
from cellcrate_runtime.images.plain_archive import plain_archive

__all__ = ["BROKEN", "LINK", "is_archive", "read_archive"]

_PIECE = 1 << 18
_BLOCK = 512
_KEPT = ("user.", "security.capability")
BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)
"""What reading a broken archive raises."""
LINK = 0
"""The kind of an entry that is another name of one before it."""


def is_archive(path: str) -> bool:
    """Whether a file of this machine is a tar archive."""
    try:
        with open(path, "rb", buffering=0) as file, plain_archive(file) as content:
            block = _read_exactly(content, _BLOCK)
            if not block:
                return False
            tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            return True
    except (*BROKEN, ImageError):
        return False


def read_archive(path: str, scratch: str) -> Iterator[tuple[Parts, Entry]]:
    """Yield what is in an archive, each with its path in parts; devices are left out.

    Args:
        path: The archive.
        scratch: A folder for the content of its files, which the caller removes.

    Raises:
        UnsafeArchiveError: A name in it has a ``..``.
        InvalidArchiveError: It is broken.
    """
    folder = tempfile.mkdtemp(dir=scratch)
    try:
        with (
            open(path, "rb", buffering=0) as file,
            plain_archive(file) as content,
            tarfile.open(fileobj=cast(IO[bytes], content), mode="r|", bufsize=_PIECE) as archive,
        ):
            for number, member in enumerate(archive):
                entry = _entry(archive, member, os.path.join(folder, str(number)))
                archive.members = []  # type: ignore[attr-defined]
                if entry is not None:
                    yield split_path(member.name), entry
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        name = os.path.basename(path)
        raise InvalidArchiveError(f"{name} cannot be unpacked: {error}") from error


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Entry | None:
    entry = Entry(
        kind=stat.S_IFREG,
        mode=stat.S_IMODE(member.mode),
        uid=member.uid,
        gid=member.gid,
        mtime=round(member.mtime * 1_000_000_000),
        attributes={
            name.removeprefix(PAX_XATTR): value.encode("utf-8", "surrogateescape")
            for name, value in member.pax_headers.items()
            if name.removeprefix(PAX_XATTR).startswith(_KEPT)
            and name.startswith(PAX_XATTR)
            and not name.startswith(f"{PAX_XATTR}user.overlay.")
        },
    )
    if member.isdir():
        entry.kind = stat.S_IFDIR
    elif member.issym():
        entry.kind, entry.mode, entry.link = stat.S_IFLNK, 0o777, member.linkname
    elif member.islnk():
        entry.kind, entry.link = LINK, "/".join(split_path(member.linkname))
    elif member.isfifo():
        entry.kind = stat.S_IFIFO
    elif member.isreg():
        content = archive.extractfile(member)
        assert content is not None, "a regular file has content"
        with open(path, "xb") as file:
            while piece := content.read(_PIECE):
                file.write(piece)
        status = os.lstat(path)
        entry.path, entry.identity = path, (status.st_dev, status.st_ino)
    else:
        return None
    return entry


def _read_exactly(content: Readable, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := content.read(size - len(data))):
        data += piece
    return data
