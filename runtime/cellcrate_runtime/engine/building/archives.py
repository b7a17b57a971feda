"""Archives that ADD unpacks: tar, whether gzip, bzip2, xz, zstd or nothing packs it.

What an archive is, its content says and not its name. Its files get names of our own while they
are unpacked, so that nothing in it can say where on this machine anything is written.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator

from cellcrate_runtime.engine.building.layer_plan import Entry, is_portable
from cellcrate_runtime.images import tar_reader
from cellcrate_runtime.images.beneath import split_path
from cellcrate_runtime.images.entry_content import write_content
from cellcrate_runtime.images.errors import InvalidArchiveError, UnsafeArchiveError
from cellcrate_runtime.images.merged import Parts
from cellcrate_runtime.images.plain_archive import plain_archive
from cellcrate_runtime.images.tar_headers import BLOCK, parse_header
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["LINK", "is_archive", "read_archive"]

LINK = 0
"""The kind of an entry that is another name of one before it."""
_KINDS = {
    tar_reader.FILE: stat.S_IFREG,
    tar_reader.FOLDER: stat.S_IFDIR,
    tar_reader.LINK: stat.S_IFLNK,
    tar_reader.FIFO: stat.S_IFIFO,
    tar_reader.HARD_LINK: LINK,
}


def is_archive(path: str) -> bool:
    """Whether a file of this machine is a tar archive."""
    try:
        with open(path, "rb", buffering=0) as file, plain_archive(file) as content:
            block = Stream(content).take_if_any(BLOCK)
            return block is not None and bool(parse_header(block))
    except (InvalidArchiveError, OSError):
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
        with open(path, "rb", buffering=0) as file, plain_archive(file) as content:
            for number, (member, stream) in enumerate(tar_reader.read_tar(content)):
                if member.kind in _KINDS:
                    entry = _entry(member, stream, os.path.join(folder, str(number)))
                    yield split_path(member.name), entry
    except UnsafeArchiveError:
        raise
    except InvalidArchiveError as error:
        name = os.path.basename(path)
        raise InvalidArchiveError(f"{name} cannot be unpacked: {error}") from error


def _entry(member: tar_reader.Entry, stream: Stream, path: str) -> Entry:
    entry = Entry(
        kind=_KINDS[member.kind],
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        attributes={k: v for k, v in member.xattrs.items() if is_portable(k)},
    )
    if member.kind == tar_reader.LINK:
        entry.mode, entry.link = 0o777, member.linkname
    elif member.kind == tar_reader.HARD_LINK:
        entry.link = "/".join(split_path(member.linkname))
    elif member.kind == tar_reader.FILE:
        with open(path, "xb", buffering=0) as file:
            write_content(file.fileno(), member, stream)
        status = os.lstat(path)
        entry.path, entry.identity = path, (status.st_dev, status.st_ino)
    return entry
