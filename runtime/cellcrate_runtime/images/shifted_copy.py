"""A copy of a layer whose files belong to the users of a user namespace.

What is copied was unpacked by :mod:`cellcrate_runtime.images.unpack`, so it lies in a folder that
is private, and does not change. Names are reached one folder at a time, and no link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterator

import msgspec

from cellcrate_runtime.linux import owners
from cellcrate_runtime.linux.idmap import IDRange

__all__ = ["Copied", "copy_shifted"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Overlayfs' marks are among the first two. Other labels, such as SELinux's, are the machine's to
# give to a new file.
_KEPT = ("user.", "trusted.", owners.CAPABILITY, *owners.ACCESS_CONTROL_LISTS)
# Why copy_file_range(2) may not be had, between these files or at all.
_NOT_HAD = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EXDEV)
_BLOCK = 512  # bytes; the unit of st_blocks, see stat(2)


class Copied(msgspec.Struct, omit_defaults=True):
    """What was copied: bytes in its files, and the paths of what is nobody's in the namespace."""

    size: int = 0
    nobodys: list[str] = []


def copy_shifted(source: str, target: str, ids: IDRange) -> Copied:
    """Copy everything in a folder, and the folder's own owner, mode and times, into an empty one.

    Owners become those that the namespace's users have outside; an owner that the namespace does
    not have becomes nobody. Everything else stays: modes with their set-user-id bits, times, links,
    holes, extended attributes, and overlayfs' whiteouts.

    Args:
        ids: The users and the groups of the namespace.

    Raises:
        OSError: The disk is full, or the file system cannot hold something.
    """
    copier = _Copier(ids)
    with _opened(source) as here, _opened(target) as there:
        copier.copy(here, there)
    return copier.copied


class _Copier:
    def __init__(self, ids: IDRange) -> None:
        self._ids = ids
        self._top = -1
        self._first_names: dict[int, str] = {}  # of files with several, by inode
        self.copied = Copied()

    def copy(self, source: int, target: int) -> None:
        # Not by recursion: folders can be nested deeper than Python's stack.
        self._top = target
        waiting = [""]
        while waiting:
            path = waiting.pop()
            with _opened(path or ".", source) as here, _opened(path or ".", target) as there:
                waiting += self._copy_entries(path, here, there)
                # Last: a default access control list would be inherited, and times would change.
                self._describe_open(path, os.fstat(here), here, there)

    def _copy_entries(self, folder: str, here: int, there: int) -> list[str]:
        """Copy what is in a folder; return the paths of the folders in it, which are empty yet."""
        folders = []
        with os.scandir(here) as entries:
            for entry in entries:
                path = posixpath.join(folder, entry.name)
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    os.mkdir(entry.name, 0o700, dir_fd=there)
                    folders.append(path)
                elif not self._linked(path, status, there):
                    self._copy_file(path, status, here, there)
        return folders

    def _linked(self, path: str, status: os.stat_result, there: int) -> bool:
        """Give a file one more name, if it was copied under another before."""
        if status.st_nlink == 1:
            return False
        first = self._first_names.setdefault(status.st_ino, path)
        if first is path:
            return False
        folder, name = posixpath.split(first)
        with _opened(folder or ".", self._top) as its_folder:
            os.link(
                name,
                posixpath.basename(path),
                src_dir_fd=its_folder,
                dst_dir_fd=there,
                follow_symlinks=False,
            )
        return True

    def _copy_file(self, path: str, status: os.stat_result, here: int, there: int) -> None:
        name = posixpath.basename(path)
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=here), name, dir_fd=there)
            else:
                os.mknod(name, status.st_mode, status.st_rdev, dir_fd=there)
            self._describe(path, status, there)
            return
        self.copied.size += status.st_size
        source = os.open(name, _READ, dir_fd=here)
        try:
            target = os.open(name, _CREATE, 0o600, dir_fd=there)
            try:
                _copy_content(source, target, status)
                self._describe_open(path, status, source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _describe_open(self, path: str, status: os.stat_result, source: int, target: int) -> None:
        # A change of owner clears the set-user-id bit and the capabilities, see chown(2).
        os.fchown(target, *self._owner(path, status))
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        for name in _attributes(source):
            value = self._moved(name, os.getxattr(source, name))
            if value is not None:
                os.setxattr(target, name, value)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _describe(self, path: str, status: os.stat_result, there: int) -> None:
        """Describe what cannot be opened for it: a link, a pipe, a whiteout."""
        name = posixpath.basename(path)
        uid, gid = self._owner(path, status)
        os.chown(name, uid, gid, dir_fd=there, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=there)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=there, follow_symlinks=False)

    def _owner(self, path: str, status: os.stat_result) -> tuple[int, int]:
        size = self._ids.inside + self._ids.size
        if status.st_uid >= size or status.st_gid >= size:
            self.copied.nobodys.append(path or "/")
        return (
            owners.moved_id(status.st_uid, self._ids, "uid"),
            owners.moved_id(status.st_gid, self._ids, "gid"),
        )

    def _moved(self, name: str, value: bytes) -> bytes | None:
        try:
            if name == owners.CAPABILITY:
                return owners.moved_capability(value, self._ids)
            if name in owners.ACCESS_CONTROL_LISTS:
                return owners.moved_acl(value, self._ids)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from error
        return value


def _attributes(file: int) -> list[str]:
    """The names of the extended attributes that belong to the file and not to the machine."""
    try:
        return [name for name in os.listxattr(file) if name.startswith(_KEPT)]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


def _copy_content(source: int, target: int, status: os.stat_result) -> None:
    """Copy a file's bytes; holes stay holes, and what the file system can share is shared."""
    size = status.st_size
    if status.st_blocks * _BLOCK >= size:
        _copy_range(source, target, 0, size)
        return
    os.ftruncate(target, size)
    for start, end in _extents(source, size):
        _copy_range(source, target, start, end)


def _extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has content: the beginning and the end of each piece; see lseek(2)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # the rest is a hole
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    try:
        while start < end:
            start += _some(os.copy_file_range(source, target, end - start, start, start))
    except OSError as error:
        if error.errno not in _NOT_HAD:
            raise
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            start += _some(os.sendfile(target, source, start, end - start))


def _some(copied: int) -> int:
    if not copied:
        raise OSError(errno.EIO, "a file of a layer became shorter while it was copied")
    return copied


@contextlib.contextmanager
def _opened(path: str, at: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER, dir_fd=at)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
