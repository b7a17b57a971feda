"""Filling a tree without ever leaving it, whatever links lie in it.

Folders are found by :mod:`cellcrate_runtime.linux.safe_paths`, with the tree's root standing in for
``/`` and nothing above it, and are made on the way where they are missing. What is done in a folder
is done to one name in it, and follows no symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

from cellcrate_runtime.images.errors import UnsafeArchiveError, printable
from cellcrate_runtime.images.tar_reader import Entry
from cellcrate_runtime.linux import safe_paths
from cellcrate_runtime.linux.overlay_marks import is_whiteout, is_whiteout_in, make_opaque
from cellcrate_runtime.linux.tree_removal import remove_tree

__all__ = ["Tree", "split_path"]

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_OPEN = 32  # folders

_Made = TypeVar("_Made")


def split_path(name: str) -> tuple[str, ...]:
    """Split an archive's name into its parts; a leading slash means the tree's root.

    Raises:
        UnsafeArchiveError: The name has a ``..`` or a NUL in it.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or "\0" in name:
        raise UnsafeArchiveError(
            f'the archive has an entry "{printable(name)}", which would lie outside the folder '
            "that it is unpacked into. Nothing of the image is kept."
        )
    return parts


class Tree:
    """A folder of files, worked on from the inside."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # Archives list a folder's files one after the other, and folders near each other. What a
        # name leads to changes only when a folder or a link is taken away: then all are forgotten.
        self._open: dict[tuple[str, ...], int] = {}
        self._is_stale = False

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        os.close(self._root)

    def folder(self, parts: tuple[str, ...], *, create: bool = True) -> int:
        """Open a folder, by default making it and those above it where they are missing.

        Returns a descriptor that belongs to the tree and is valid until the next call.

        Raises:
            UnsafeArchiveError: The way leads through too many links.
            FileNotFoundError: It is missing and is not to be made.
            NotADirectoryError: Something on the way is a file.
        """
        if self._is_stale or len(self._open) > MOST_OPEN:
            self._forget()
        known = self._open.get(parts)
        if known is not None:
            return known
        try:
            descriptor = self._open_anew(parts, create)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise UnsafeArchiveError(
                f'the archive\'s entry "{printable("/".join(parts))}" leads through a loop of '
                "symbolic links."
            ) from None
        self._open[parts] = descriptor
        return descriptor

    def is_hidden(self, parts: tuple[str, ...]) -> bool:
        """Whether a folder cannot be there because this layer has a whiteout on its way."""
        for end in range(1, len(parts) + 1):
            try:
                found = safe_paths.open_inside(self._root, "/".join(parts[:end]))
            except OSError:
                return False
            try:
                status = os.fstat(found)
                if not stat.S_ISDIR(status.st_mode):
                    return is_whiteout(status, found)
            finally:
                os.close(found)
        return False

    def status(self, folder: int, name: str) -> os.stat_result | None:
        """What lies under a name, None where nothing does. Links are not followed."""
        try:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def make_folder(self, folder: int, name: str) -> None:
        """Make a folder; where a whiteout lies it takes its place, hiding what is below it."""
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
        except FileExistsError:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                hid_below = is_whiteout_in(folder, name, status)
                self.clear(folder, name)
                os.mkdir(name, 0o755, dir_fd=folder)
                if hid_below:
                    self.hide_below(folder, name)

    def hide_below(self, folder: int, name: str = ".") -> None:
        """Make a folder opaque: what layers below have in it is not seen."""
        descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
        try:
            make_opaque(descriptor)
        finally:
            os.close(descriptor)

    def white_out(self, folder: int, name: str) -> None:
        """Hide what layers below have under a name; what this layer itself has there stays."""
        status = self.status(folder, name)
        if status is None:
            # Any user may make this one device since Linux 5.8, see mknod(2).
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=folder)
        elif stat.S_ISDIR(status.st_mode):
            self.hide_below(folder, name)

    def clear(self, folder: int, name: str) -> None:
        """Remove what lies under a name, to make room for another entry of that name."""
        status = self.status(folder, name)
        if status is None:
            return
        self._is_stale |= stat.S_ISDIR(status.st_mode) or stat.S_ISLNK(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            remove_tree(name, folder)
        else:
            os.unlink(name, dir_fd=folder)

    def put(self, folder: int, name: str, make: Callable[[], _Made]) -> _Made:
        """Make something under a name, where mostly nothing is in the way."""
        try:
            return make()
        except FileExistsError:
            self.clear(folder, name)
            return make()

    def new_file(self, folder: int, name: str) -> int:
        """Make an empty file, which only its owner may read so far; open, to be written."""
        return self.put(folder, name, lambda: os.open(name, NEW_FILE, 0o600, dir_fd=folder))

    def symlink(self, folder: int, name: str, entry: Entry) -> None:
        """Make a symbolic link.

        Raises:
            UnsafeArchiveError: It cannot be one.
        """
        if "\0" in entry.linkname:
            raise UnsafeArchiveError(f'the archive\'s link "{entry.shown}" has a NUL in it.')
        self.put(folder, name, lambda: os.symlink(entry.linkname, name, dir_fd=folder))

    def link(self, parts: tuple[str, ...], entry: Entry) -> os.stat_result | None:
        """Give a file another name. What it is; None where that is the name that it has.

        Raises:
            UnsafeArchiveError: It is no file.
            FileNotFoundError: It is not there.
        """
        target = split_path(entry.linkname)
        if not target:
            raise UnsafeArchiveError(f'the archive has a hard link "{entry.shown}" to a folder.')
        # Both folders are needed at once, and one that was lent may be closed for the other.
        source = os.dup(self.folder(target[:-1], create=False))
        try:
            parent, name = self.folder(parts[:-1]), parts[-1]
            if target == parts:
                return None
            status = os.stat(target[-1], dir_fd=source, follow_symlinks=False)
            self.put(
                *(parent, name),
                lambda: os.link(
                    target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
                ),
            )
            return status
        finally:
            os.close(source)

    def _open_anew(self, parts: tuple[str, ...], create: bool) -> int:
        above = self._open.get(parts[:-1]) if parts else None
        if above is not None:
            # One step, which is soon tried: it fails if there is a link, or nothing.
            with contextlib.suppress(OSError):
                return os.open(parts[-1], OPEN_FOLDER, dir_fd=above)
        path, flags = "/".join(parts) or ".", os.O_RDONLY | os.O_DIRECTORY
        try:
            return safe_paths.open_inside(self._root, path, flags)
        except (FileNotFoundError, NotADirectoryError):
            if not create:
                raise
        return self._make_and_open(parts)

    def _make_and_open(self, parts: tuple[str, ...]) -> int:
        """Open a folder step by step, making what is missing on the way."""
        descriptor = os.dup(self._root)
        try:
            for step, name in enumerate(parts, 1):
                self._make_missing(descriptor, name)
                below = self._open_below(descriptor, name, parts[:step])
                os.close(descriptor)
                descriptor = below
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _open_below(self, folder: int, name: str, parts: tuple[str, ...]) -> int:
        try:
            return os.open(name, OPEN_FOLDER, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
        # A link: from the root, so that it leads nowhere else. What it leads to may be missing.
        path, flags = "/".join(parts), os.O_RDONLY | os.O_DIRECTORY
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return safe_paths.open_inside(self._root, path, flags)
        safe_paths.visit(self._root, path, lambda at, name, _: self._make_missing(at, name))
        return safe_paths.open_inside(self._root, path, flags)

    def _make_missing(self, folder: int, name: str) -> None:
        status = self.status(folder, name)
        if status is None or is_whiteout_in(folder, name, status):
            self.make_folder(folder, name)
            # Nothing else describes it, and the process may have a mask, see umask(2).
            os.chmod(name, 0o755, dir_fd=folder)

    def _forget(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._is_stale = False
