"""Files as entries of a tar archive: for layers, ``docker cp`` and ``docker export`` alike.

Who packs what others may change meanwhile does it in a process that is shut into the folder, since
folders on the way to a file may become links while they are walked.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.tar_writer import TarWriter, set_time
from cellcrate_runtime.linux import owners
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.linux.overlay_marks import is_mark

__all__ = ["FilePacker", "Found", "walk"]

PAX_XATTR = "SCHILY.xattr."
_PIECE = 1 << 18
_USER = "user."
# What else Docker, containerd and containers/storage have in layers or take from them.
_KEPT = (owners.CAPABILITY, "security.ima", *owners.ACCESS_CONTROL_LISTS)
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
# Never wait for a pipe, nor follow a link, that took a file's place meanwhile.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """A file that was met on a walk."""

    path: str
    name: str
    status: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether something may lie in it."""
        return stat.S_ISDIR(self.status.st_mode)


def walk(
    folder: str, prefix: str | None, enter: Callable[[Found], bool] = lambda _: True
) -> Iterator[Found]:
    """Yield what lies in a folder, sorted by name, each folder before what is in it.

    Args:
        folder: Where to begin; it is not itself yielded.
        prefix: What names begin with, before a slash; None for names that begin with nothing.
        enter: Which folders to look into.
    """
    # Not by recursion: folders can be nested deeper than Python's stack.
    open_folders = [_children(folder, prefix)]
    while open_folders:
        found = next(open_folders[-1], None)
        if found is None:
            open_folders.pop()
            continue
        yield found
        if found.is_folder and enter(found):
            open_folders.append(_children(found.path, found.name))


class FilePacker:
    """Adds files to an archive, and remembers those with several names.

    Args:
        archive: Where they go.
        ids: The ids that the files' owners have on disk in place of a container's; None for those.
        latest: No file is to be later than this, in seconds since 1970; None for any time.
    """

    def __init__(
        self, archive: TarWriter, *, ids: IDRange | None = None, latest: int | None = None
    ) -> None:
        self._archive = archive
        self._ids = ids
        self._latest = None if latest is None else latest * 1_000_000_000
        self._first_names: dict[tuple[int, int], str] = {}

    def add(self, found: Found) -> None:
        """Add one file; a socket, which no archive can hold, is left out.

        Whatever vanishes meanwhile is left out as well. A file that becomes shorter while it is
        read is filled up with zeros: the archive has promised its size already.

        Raises:
            ImageError: An extended attribute has a name that no archive can hold.
        """
        status = found.status
        kind = _TYPES.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return
        entry = self._described(found, kind)
        identity = status.st_dev, status.st_ino
        shared = status.st_nlink > 1 and kind != tarfile.DIRTYPE
        if shared and identity in self._first_names:
            entry.type, entry.linkname = tarfile.LNKTYPE, self._first_names[identity]
            self._archive.add(entry)
            return
        try:
            if kind == tarfile.REGTYPE:
                self._add_content(found.path, entry)
            else:
                if kind == tarfile.SYMTYPE:
                    entry.linkname = os.readlink(found.path)
                elif kind == tarfile.DIRTYPE:
                    self._add_attributes(entry, found.path)
                self._archive.add(entry)
        except FileNotFoundError:
            return
        if shared:
            self._first_names[identity] = entry.name

    def _described(self, found: Found, kind: bytes) -> tarfile.TarInfo:
        status = found.status
        entry = tarfile.TarInfo(found.name)
        entry.type = kind
        entry.mode = stat.S_IMODE(status.st_mode)
        entry.uid, entry.gid = status.st_uid, status.st_gid
        if self._ids is not None:
            entry.uid = owners.restored_id(entry.uid, self._ids, "uid")
            entry.gid = owners.restored_id(entry.gid, self._ids, "gid")
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        time = status.st_mtime_ns
        set_time(entry, time if self._latest is None else min(time, self._latest))
        return entry

    def _add_content(self, path: str, entry: tarfile.TarInfo) -> None:
        descriptor = os.open(path, _READ)
        try:
            self._add_attributes(entry, descriptor)
            entry.size = os.fstat(descriptor).st_size
            self._archive.add(entry, _exactly(descriptor, entry.size))
        finally:
            os.close(descriptor)

    def _add_attributes(self, entry: tarfile.TarInfo, file: str | int) -> None:
        """Add the extended attributes that mean the same on every machine.

        Others, such as SELinux's labels, are the machine's to give to a new file.
        """
        try:
            names = os.listxattr(file)
        except OSError:
            return  # some file systems know none
        for name in sorted(names):
            if name not in _KEPT and (not name.startswith(_USER) or is_mark(name)):
                continue
            value = self._restored(name, os.getxattr(file, name))
            if value is not None:
                _check_name(name, entry.name)
                text = value.decode("utf-8", "surrogateescape")
                entry.pax_headers = {**entry.pax_headers, PAX_XATTR + name: text}

    def _restored(self, name: str, value: bytes) -> bytes | None:
        """An attribute with the ids in it as a container sees them; None where it means nothing."""
        try:
            if name == owners.CAPABILITY:
                return owners.restored_capability(value, self._ids.outside if self._ids else 0)
            if name in owners.ACCESS_CONTROL_LISTS and self._ids is not None:
                return owners.restored_acl(value, self._ids)
        except ValueError:
            pass  # from a newer kernel than this is written for
        return value


def _check_name(attribute: str, file: str) -> None:
    # pax(1): the name of a record ends with the first equals sign.
    if "=" in attribute:
        raise ImageError(
            f'the file "{file}" has an extended attribute "{attribute}", and archives cannot hold '
            'one with "=" in its name. Remove it: setfattr -x'
        )


def _exactly(descriptor: int, size: int) -> Iterator[bytes]:
    """A file's bytes, as many as were promised."""
    while size:
        piece = os.read(descriptor, min(size, _PIECE)) or bytes(min(size, _PIECE))
        size -= len(piece)
        yield piece


def _children(folder: str, prefix: str | None) -> Iterator[Found]:
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
        yield Found(path, child if prefix is None else f"{prefix}/{child}", status)
