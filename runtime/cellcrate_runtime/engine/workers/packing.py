"""Pack files into a tar archive, in a stream; ``/`` is the container's root."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator

from cellcrate_runtime.engine.workers.answers import Answers
from cellcrate_runtime.engine.workers.paths import absolute, last_part

__all__ = ["pack", "pack_root"]

_BUFFER = 256 * 1024

# The one attribute that changes what a program may do. Source: moby's archives, "SCHILY.xattr".
_CAPABILITY = "security.capability"

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def pack(path: str, answers: Answers) -> None:
    """Pack a file, or a folder with everything in it; names begin with the path's last part."""
    path = absolute(path)
    name = last_part(path)
    with answers.writer() as stream, _archive(stream) as archive:
        packer = _Packer(archive)
        packer.add(path, name, os.lstat(path))
        if os.path.isdir(path) and not os.path.islink(path):
            # The root's entries begin with one slash: it is an archive of "/", "/bin", ...
            packer.add_below(path, "" if name == "/" else name)


def pack_root(answers: Answers) -> None:
    """Pack the root file system; names are relative, mounts in it appear as empty folders."""
    with answers.writer() as stream, _archive(stream) as archive:
        _Packer(archive, stay_on=os.lstat("/").st_dev).add_below("/", None)


def _archive(stream: io.BufferedWriter) -> tarfile.TarFile:
    return _Archive.open(
        fileobj=stream,
        mode="w|",
        format=tarfile.PAX_FORMAT,
        bufsize=_BUFFER,
        errors="surrogateescape",
    )


class _Archive(tarfile.TarFile):
    copybufsize = _BUFFER


class _Packer:
    """Adds files, and remembers those with several names.

    Args:
        archive: Where they go.
        stay_on: The device number of the only file system to look into; None for all.
    """

    def __init__(self, archive: tarfile.TarFile, stay_on: int | None = None) -> None:
        self._archive = archive
        self._stay_on = stay_on
        self._seen: dict[tuple[int, int], str] = {}

    def add_below(self, folder: str, prefix: str | None) -> None:
        """Add what lies in a folder; names begin with the prefix and a slash, or with nothing."""
        # Not by recursion: folders can be nested deeper than Python's stack.
        open_folders = [_children(folder, prefix)]
        while open_folders:
            child = next(open_folders[-1], None)
            if child is None:
                open_folders.pop()
                continue
            path, name, status = child
            self.add(path, name, status)
            if stat.S_ISDIR(status.st_mode) and self._stay_on in (None, status.st_dev):
                open_folders.append(_children(path, name))

    def add(self, path: str, name: str, status: os.stat_result) -> None:
        """Add one file; a socket, which no archive can hold, is left out."""
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = stat.S_IMODE(status.st_mode)
        info.uid, info.gid = status.st_uid, status.st_gid
        info.mtime = int(status.st_mtime)
        if kind == tarfile.SYMTYPE:
            info.linkname = os.readlink(path)
        elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        elif kind == tarfile.REGTYPE:
            self._add_content(path, info, status)
            return
        self._archive.addfile(info)

    def _add_content(self, path: str, info: tarfile.TarInfo, status: os.stat_result) -> None:
        if status.st_nlink > 1:
            identity = status.st_dev, status.st_ino
            first = self._seen.setdefault(identity, info.name)
            if first is not info.name:
                info.type, info.linkname = tarfile.LNKTYPE, first
                self._archive.addfile(info)
                return
        # Never wait for a pipe, nor follow a link, that took the file's place meanwhile.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(path, "rb", buffering=0, opener=lambda p, _: os.open(p, flags)) as file:
            try:
                capability = os.getxattr(file.fileno(), _CAPABILITY)
                value = capability.decode("utf-8", "surrogateescape")
                info.pax_headers = {f"SCHILY.xattr.{_CAPABILITY}": value}
            except OSError:
                pass  # most files have none, and some file systems know none
            info.size = os.fstat(file.fileno()).st_size
            self._archive.addfile(info, _ExactlySized(file))


class _ExactlySized(io.RawIOBase):
    """A file that may change while it is read, filled up with zeros if it becomes shorter."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        content = b""
        while len(content) < size:
            more = self._file.read(size - len(content))
            if not more:
                return content.ljust(size, b"\0")
            content = content + more if content else more
        return content


def _children(folder: str, prefix: str | None) -> Iterator[tuple[str, str, os.stat_result]]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return  # it was removed meanwhile
    for child in names:
        path = os.path.join(folder, child)
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        yield path, child if prefix is None else f"{prefix}/{child}", status
