"""A layer's archive becomes a folder that overlayfs can stack.

Source: OCI image-spec 1.1, layer.md ("Whiteouts", "Opaque Whiteout"), and the kernel's
Documentation/filesystems/overlayfs.rst for what they become on disk. The archive is not trusted:
see :mod:`cellcrate_runtime.images.beneath` for how its names are kept inside the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from cellcrate_runtime.images import subordinate
from cellcrate_runtime.images.beneath import Tree, split_path
from cellcrate_runtime.images.describing import Describer
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.entry_content import write_content
from cellcrate_runtime.images.errors import (
    ImageError,
    InvalidArchiveError,
    UnsafeArchiveError,
    printable,
)
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.left_out import LeftOut
from cellcrate_runtime.images.limits import LayerLimits
from cellcrate_runtime.images.tar_reader import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    LINK,
    Entry,
    read_tar,
)
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["fill", "unpack_layer"]

WHITEOUT = ".wh."
OPAQUE_WHITEOUT = ".wh..wh..opq"
# Other names that begin so are old notes of the aufs driver, which layers may still hold.
AUFS_NOTE = ".wh..wh."
DEVICE_TYPES = {CHARACTER_DEVICE: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK}
NO_DEVICE = "a device node, which only root may make; a container's come from its runtime"
NO_WHITEOUT = "a device 0:0, which to overlayfs means that there is no such file"


def unpack_layer(archive: Readable, folder: Path) -> LayerInfo:
    """Unpack an uncompressed layer archive into an empty folder.

    As root, files keep the owners that the archive names. So they do for an ordinary user who has
    subordinate ids, in whose user namespace another process does the work. An ordinary user without
    owns them all, and is root in the container; :attr:`LayerInfo.left_out` says so.

    Raises:
        UnsafeArchiveError: An entry would lie outside the folder.
        InvalidArchiveError: It is not a tar archive, or ends too early, or has too many entries.
        ImageError: The file system cannot hold an entry.
        OSError: The disk is full.
    """
    if os.geteuid() == 0:
        return fill(archive, folder, flat=None)
    why_not = subordinate.why_not()
    if why_not is None:
        return subordinate.unpack(archive, folder)
    return fill(archive, folder, flat=why_not)


def fill(archive: Readable, folder: Path, flat: str | None) -> LayerInfo:
    """Unpack as whoever this process is.

    Args:
        flat: Why files cannot keep their owners; None where they can.

    Raises:
        The same as :func:`unpack_layer`.
    """
    unpacker = _Unpacker(folder, flat)
    with Tree(str(folder)) as tree:
        for entry, stream in read_tar(archive):
            unpacker.add(tree, entry, stream)
        unpacker.finish_folders(tree)
    return unpacker.info()


class _Unpacker:
    """Puts the entries of one archive into one tree."""

    def __init__(self, folder: Path, flat: str | None) -> None:
        self._folder = folder
        self._flat = flat
        self._most = LayerLimits.from_environment().entries
        self._entries = 0
        self._size = 0
        self._left_out = LeftOut()
        self._describer = Describer(self._left_out, flat)
        # Folders get their mode and time last: while they are filled they must be writable, and
        # filling changes their time. With each is its inode's number.
        self._folders: dict[tuple[str, ...], tuple[Entry, int]] = {}

    def info(self) -> LayerInfo:
        """What was unpacked."""
        left_out = self._left_out.sentences()
        return LayerInfo(self._size, self._entries, left_out, owners_kept=self._flat is None)

    def add(self, tree: Tree, entry: Entry, stream: Stream) -> None:
        self._entries += 1
        if self._entries > self._most:
            raise LayerLimits.too_many(self._most)
        parts = split_path(entry.name)
        try:
            if not parts:
                if entry.kind == FOLDER:
                    self._folders[()] = entry, os.fstat(tree.folder(())).st_ino
            elif parts[-1].startswith(WHITEOUT):
                self._add_whiteout(tree, parts)
            elif entry.kind == FILE:
                self._add_file(tree, entry, parts, stream)
            elif entry.kind == FOLDER:
                self._add_folder(tree, entry, parts)
            else:
                self._add_other(tree, entry, parts)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # the store has better words for it
            raise ImageError(
                f'cannot unpack "{entry.shown}" of a layer into {self._folder}: {error.strerror}'
            ) from error

    def _add_whiteout(self, tree: Tree, parts: tuple[str, ...]) -> None:
        name = parts[-1]
        if name.startswith(AUFS_NOTE) and name != OPAQUE_WHITEOUT:
            return
        hidden = name.removeprefix(WHITEOUT)
        if hidden in ("", ".", ".."):
            raise UnsafeArchiveError(
                f'the archive has an entry "{printable("/".join(parts))}", which would remove '
                "the folder that it lies in."
            )
        try:
            parent = tree.folder(parts[:-1], create=False)
        except (FileNotFoundError, NotADirectoryError):
            # Some programs remove a folder, and then each file in it.
            if tree.is_hidden(parts[:-1]):
                return
            parent = tree.folder(parts[:-1])
        if name == OPAQUE_WHITEOUT:
            tree.hide_below(parent)
        else:
            tree.white_out(parent, hidden)

    def _add_folder(self, tree: Tree, entry: Entry, parts: tuple[str, ...]) -> None:
        parent, name = tree.folder(parts[:-1]), parts[-1]
        tree.make_folder(parent, name)
        made = os.stat(name, dir_fd=parent, follow_symlinks=False)
        self._folders[parts] = entry, made.st_ino

    def _add_file(self, tree: Tree, entry: Entry, parts: tuple[str, ...], stream: Stream) -> None:
        parent, name = tree.folder(parts[:-1]), parts[-1]
        self._size += entry.stored
        descriptor = tree.new_file(parent, name)
        try:
            write_content(descriptor, entry, stream)
            self._describer.describe_open(entry, descriptor)
        finally:
            os.close(descriptor)

    def _add_other(self, tree: Tree, entry: Entry, parts: tuple[str, ...]) -> None:
        parent, name = tree.folder(parts[:-1]), parts[-1]
        if entry.kind == HARD_LINK:
            self._link(tree, entry, parts)
        elif entry.kind == LINK:
            self._add_symbolic_link(tree, entry, parent, name)
        elif entry.kind == FIFO:
            tree.put(parent, name, lambda: os.mkfifo(name, 0o600, dir_fd=parent))
            self._describer.describe(entry, parent, name, None)
        elif entry.kind in DEVICE_TYPES:
            self._add_device(tree, entry, parent, name)
        else:
            tree.clear(parent, name)
            self._left_out.add(entry.name, f"of unknown type {entry.kind!r}")

    def _add_symbolic_link(self, tree: Tree, entry: Entry, parent: int, name: str) -> None:
        tree.symlink(parent, name, entry)
        made = os.stat(name, dir_fd=parent, follow_symlinks=False)
        self._describer.describe(entry, parent, name, made)

    def _add_device(self, tree: Tree, entry: Entry, parent: int, name: str) -> None:
        tree.clear(parent, name)
        if entry.kind == CHARACTER_DEVICE and entry.device == (0, 0):
            self._left_out.add(entry.name, NO_WHITEOUT)
            return
        try:
            mode = DEVICE_TYPES[entry.kind] | 0o600
            os.mknod(name, mode, os.makedev(*entry.device), dir_fd=parent)
        except PermissionError:
            self._left_out.add(entry.name, NO_DEVICE)
        except OverflowError as error:
            raise InvalidArchiveError(
                f'the archive\'s device "{entry.shown}" has a number that no device has.'
            ) from error
        else:
            self._describer.describe(entry, parent, name, None)

    def _link(self, tree: Tree, entry: Entry, parts: tuple[str, ...]) -> None:
        status = tree.link(parts, entry)
        if status is not None:
            # Also for a file that has been described before: the last word counts, as elsewhere.
            self._describer.describe(entry, tree.folder(parts[:-1]), parts[-1], status)

    def finish_folders(self, tree: Tree) -> None:
        """Give the folders their owners, modes and times, the deepest first."""
        for parts in sorted(self._folders, key=len, reverse=True):
            entry, inode = self._folders[parts]
            # A later entry of the same name may have put something else in a folder's place.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                folder = tree.folder(parts, create=False)
                if os.fstat(folder).st_ino == inode:
                    self._describer.describe_open(entry, folder)
