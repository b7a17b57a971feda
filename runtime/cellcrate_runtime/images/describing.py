"""Owners, modes, times and extended attributes of the files of a layer.

What Docker, containerd and containers/storage keep is kept, because it is part of the image:
``user.*``, file capabilities, access control lists, and signatures for IMA. What is left out:

- ``*.overlay.*``, with which a layer could have overlayfs look elsewhere;
- other ``trusted.*``, which are the machine's administrator's, as containerd leaves them out;
- ``security.selinux`` and other labels, which the machine gives to its files.

Source: xattr(7); ``extractTarFileEntry`` of containers/storage (pkg/archive/archive.go),
``setxattr`` of containerd (pkg/archive/tar_unix.go).
"""

from __future__ import annotations

import errno
import os
import stat

from cellcrate_runtime.images.errors import ImageError, InvalidArchiveError
from cellcrate_runtime.images.left_out import LeftOut
from cellcrate_runtime.images.tar_reader import Entry
from cellcrate_runtime.linux import owners

__all__ = ["Describer", "time_of"]

_OF_ANY_USER = "user."
_OF_OVERLAYFS = "user.overlay."
# These hold ids, or count only if they come from somebody who may decide that.
_OF_ROOT = (owners.CAPABILITY, "security.ima", *owners.ACCESS_CONTROL_LISTS)
_SAID_BY_NOBODY = "security.selinux"  # on every file of some distributions' images
_NOBODY = 65534  # as user namespaces show an owner that they do not have
# Times before and after these are taken for 1970 by Docker and containers/storage alike, which
# count nanoseconds in 64 bits (system.Chtimes).
_EARLIEST, _LATEST = 0, (1 << 63) - 1
_LONGEST_LIST = 1 << 16  # bytes of names of attributes of one file: XATTR_LIST_MAX, linux/limits.h


class Describer:
    """Describes files as their entries do.

    Args:
        left_out: Where to note what could not be had.
        flat: Why all files belong to this user, instead of the owners that their entries have;
            None to give them those.
    """

    def __init__(self, left_out: LeftOut, flat: str | None) -> None:
        self._left_out = left_out
        self._flat = flat

    def describe_open(self, entry: Entry, descriptor: int) -> None:
        """Describe a file or a folder that is open."""
        self._give(entry, descriptor, None)
        os.fchmod(descriptor, entry.mode & 0o7777)
        if entry.xattrs:
            self._set_attributes(entry, descriptor)
        time = time_of(entry)
        os.utime(descriptor, ns=(time, time))

    def describe(self, entry: Entry, parent: int, name: str, status: os.stat_result | None) -> None:
        """Describe what cannot be opened for it: a link, a pipe, a device.

        Args:
            status: What it is, if it was described before under another name.
        """
        is_link = status is not None and stat.S_ISLNK(status.st_mode)
        # A change of owner, even to the same, takes file capabilities away.
        if status is None or (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
            self._give(entry, parent, name)
        if not is_link:
            os.chmod(name, entry.mode & 0o7777, dir_fd=parent)
        if entry.xattrs:
            self._set_attributes(entry, f"/proc/self/fd/{parent}/{name}")
        time = time_of(entry)
        os.utime(name, ns=(time, time), dir_fd=parent, follow_symlinks=False)

    def _give(self, entry: Entry, folder_or_file: int, name: str | None) -> None:
        # Before the mode, because a change of owner clears the set-user-id bit.
        if self._flat is not None:
            if entry.uid or entry.gid:
                self._left_out.add(entry.name, f"its owner; {self._flat}")
            return
        try:
            _chown(folder_or_file, name, entry.uid, entry.gid)
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise
            # No id of this namespace, or of any.
            reason = f"its owner, {entry.uid}:{entry.gid}, is beyond the ids that there are here"
            self._left_out.add(entry.name, reason)
            try:
                _chown(folder_or_file, name, _NOBODY, _NOBODY)
            except OSError as refused:
                if refused.errno != errno.EINVAL:
                    raise

    def _set_attributes(self, entry: Entry, file: int | str) -> None:
        if sum(map(len, entry.xattrs)) > _LONGEST_LIST:
            raise InvalidArchiveError(
                f'the archive\'s entry "{entry.shown}" has more extended attributes than a file '
                "can have."
            )
        for name, value in entry.xattrs.items():
            if self._is_kept(entry, name):
                self._set(entry, file, name, value)

    def _is_kept(self, entry: Entry, name: str) -> bool:
        if name.startswith(_OF_ANY_USER) and not name.startswith(_OF_OVERLAYFS):
            return True
        if name not in _OF_ROOT:
            if name != _SAID_BY_NOBODY:
                self._left_out.add(entry.name, f"its extended attribute {name[:100]!r}")
            return False
        if self._flat is not None:
            self._left_out.add(entry.name, f"its extended attribute {name}; {self._flat}")
        return self._flat is None

    def _set(self, entry: Entry, file: int | str, name: str, value: bytes) -> None:
        try:
            if isinstance(file, int):
                os.setxattr(file, name, value)
            else:
                os.setxattr(file, name, value, follow_symlinks=False)
        except ValueError as error:
            raise InvalidArchiveError(
                f'an extended attribute of the archive\'s entry "{entry.shown}" has no good name.'
            ) from error
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
                reason = f"its extended attribute {name[:100]!r}: {error.strerror}"
                self._left_out.add(entry.name, reason)
            elif error.errno in (errno.ENOSPC, errno.EDQUOT) and not _has_room(file):
                raise
            else:
                # Some file systems say "no space" of attributes that are more than fit in a block.
                raise ImageError(
                    f'the extended attribute {name[:100]!r} of "{entry.shown}" of a layer, '
                    f"{len(value)} bytes, cannot be set: {error.strerror}"
                ) from error


def time_of(entry: Entry) -> int:
    """The time that the file of an entry gets, in nanoseconds since 1970."""
    return entry.mtime if _EARLIEST <= entry.mtime <= _LATEST else 0


def _chown(folder_or_file: int, name: str | None, uid: int, gid: int) -> None:
    if min(uid, gid) < 0 or max(uid, gid) >= 0xFFFF_FFFF:  # which mean: leave it as it is
        raise OverflowError
    if name is None:
        os.fchown(folder_or_file, uid, gid)
    else:
        os.chown(name, uid, gid, dir_fd=folder_or_file, follow_symlinks=False)


def _has_room(file: int | str) -> bool:
    status = os.statvfs(file if isinstance(file, int) else os.path.dirname(file))
    return status.f_bavail > 0
