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
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from cellcrate_runtime.images.beneath import Tree, split_path
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import ImageError, InvalidArchiveError, UnsafeArchiveError
from cellcrate_runtime.images.layers import LayerInfo

__all__ = ["unpack_layer"]

PIECE = 1 << 18
WHITEOUT = ".wh."
OPAQUE_WHITEOUT = ".wh..wh..opq"
# Other names that begin so are old notes of the aufs driver, which layers may still hold.
AUFS_NOTE = ".wh..wh."
PAX_XATTR = "SCHILY.xattr."
# Only these extended attributes mean something in a container. Above all not *.overlay.*, with
# which a layer could have overlayfs look elsewhere.
KEPT_XATTRS = ("user.", "security.capability")
REFUSED_XATTRS = ("user.overlay.",)


@dataclass(slots=True)
class _Progress:
    """What has been unpacked so far."""

    size: int = 0
    files: int = 0
    left_out: list[str] = field(default_factory=list)
    # Folders get their mode and time last: while they are filled they must be writable, and
    # filling changes their time.
    folders: dict[tuple[str, ...], tarfile.TarInfo] = field(default_factory=dict)


def unpack_layer(archive: Readable, folder: Path) -> LayerInfo:
    """Unpack an uncompressed layer archive into an empty folder.

    As root, files keep the owners that the archive names. An ordinary user owns them all, and is
    root in the container. Device nodes are left out: a container gets its devices from the
    runtime, never from an image.

    Raises:
        UnsafeArchiveError: An entry would lie outside the folder.
        InvalidArchiveError: It is not a tar archive, or ends too early.
        ImageError: The file system cannot hold an entry.
        OSError: The disk is full.
    """
    unpacker = _Unpacker(folder)
    try:
        with (
            tarfile.open(fileobj=cast(IO[bytes], archive), mode="r|", bufsize=PIECE) as tar,
            Tree(str(folder), unpacker.privileged) as tree,
        ):
            for entry in tar:
                unpacker.add(tar, tree, entry)
                # tarfile would remember every entry, however long the archive.
                tar.members = []  # type: ignore[attr-defined]
            unpacker.finish_folders(tree)
    except (tarfile.TarError, EOFError) as error:
        raise InvalidArchiveError(f"a layer of the image is not a tar archive: {error}") from error
    progress = unpacker.progress
    return LayerInfo(progress.size, progress.files, progress.left_out)


class _Unpacker:
    """Puts the entries of one archive into one tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.privileged = os.geteuid() == 0
        self.progress = _Progress()

    def add(self, tar: tarfile.TarFile, tree: Tree, entry: tarfile.TarInfo) -> None:
        parts = split_path(entry.name)
        try:
            if not parts:
                if entry.isdir():
                    self.progress.folders[()] = entry
                return
            if parts[-1].startswith(WHITEOUT):
                self._add_whiteout(tree, parts)
            elif entry.isdir():
                tree.make_folder(tree.folder(parts[:-1]), parts[-1])
                self.progress.folders[parts] = entry
            elif entry.isblk() or entry.ischr():
                self.progress.left_out.append(f"{entry.name} (a device node)")
            else:
                self._add_other(tar, tree, entry, parts)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # the store has better words for it
            raise ImageError(
                f'cannot unpack "{entry.name}" of a layer into {self.folder}: {error.strerror}'
            ) from error
        self.progress.files += 1

    def _add_whiteout(self, tree: Tree, parts: tuple[str, ...]) -> None:
        parent, name = tree.folder(parts[:-1]), parts[-1]
        if name == OPAQUE_WHITEOUT:
            tree.hide_below(parent)
        elif not name.startswith(AUFS_NOTE):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in ("", ".", ".."):
                raise UnsafeArchiveError(
                    f'the archive has an entry "{"/".join(parts)}", which would remove '
                    "the folder that it lies in."
                )
            tree.white_out(parent, hidden)

    def _add_other(
        self, tar: tarfile.TarFile, tree: Tree, entry: tarfile.TarInfo, parts: tuple[str, ...]
    ) -> None:
        parent, name = tree.folder(parts[:-1]), parts[-1]
        tree.clear(parent, name)
        if entry.islnk():
            self._link(tree, entry, parts)
            return
        if entry.issym():
            os.symlink(entry.linkname, name, dir_fd=parent)
        elif entry.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
        elif entry.isreg():
            self._write_file(tar, entry, parent, name)
            return
        else:
            self.progress.left_out.append(f"{entry.name} (of unknown type {entry.type!r})")
            return
        self._describe(entry, parent, name)

    def _link(self, tree: Tree, entry: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        target = split_path(entry.linkname)
        if not target:
            raise UnsafeArchiveError(f'the archive has a hard link "{entry.name}" to a folder.')
        # Both folders are needed at once, and the tree lends only one at a time.
        source = os.dup(tree.folder(target[:-1], create=False))
        try:
            os.link(
                target[-1],
                parts[-1],
                src_dir_fd=source,
                dst_dir_fd=tree.folder(parts[:-1]),
                follow_symlinks=False,
            )
        finally:
            os.close(source)

    def _write_file(
        self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parent: int, name: str
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            content = tar.extractfile(entry)
            assert content is not None, "a regular file has content"
            while piece := content.read(PIECE):
                file.write(piece)
            self._describe_open(entry, descriptor)
        self.progress.size += entry.size

    def finish_folders(self, tree: Tree) -> None:
        """Give the folders their owners, modes and times, the deepest first."""
        for parts in sorted(self.progress.folders, key=len, reverse=True):
            # A later entry of the same name may have put something else in a folder's place.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                folder = tree.folder(parts, create=False)
                self._describe_open(self.progress.folders[parts], folder)

    def _describe_open(self, entry: tarfile.TarInfo, descriptor: int) -> None:
        if self.privileged:
            # Before the mode, because a change of owner clears the set-user-id bit.
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, stat.S_IMODE(entry.mode))
        for name, value in entry.pax_headers.items():
            if name.startswith(PAX_XATTR):
                self._set_xattr(descriptor, name.removeprefix(PAX_XATTR), value)
        nanoseconds = round(entry.mtime * 1_000_000_000)
        os.utime(descriptor, ns=(nanoseconds, nanoseconds))

    def _describe(self, entry: tarfile.TarInfo, parent: int, name: str) -> None:
        """Describe what cannot be opened for it: a link, a pipe."""
        if self.privileged:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if not entry.issym():
            os.chmod(name, stat.S_IMODE(entry.mode), dir_fd=parent)
        nanoseconds = round(entry.mtime * 1_000_000_000)
        os.utime(name, ns=(nanoseconds, nanoseconds), dir_fd=parent, follow_symlinks=False)

    def _set_xattr(self, descriptor: int, name: str, value: str) -> None:
        if not name.startswith(KEPT_XATTRS) or name.startswith(REFUSED_XATTRS):
            return
        if name.startswith("security.") and not self.privileged:
            # File capabilities would have to be written from inside the user's namespace.
            return
        os.setxattr(descriptor, name, value.encode("utf-8", "surrogateescape"))
