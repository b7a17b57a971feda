"""A build's context: what a client sends, in a folder of the build's own.

Nothing in the archive can name anything outside that folder, see
:mod:`cellcrate_runtime.images.beneath`. Owners are not kept, because copies belong to root, or to
whom the Dockerfile says.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import IO, BinaryIO, cast

from cellcrate_runtime.engine.building.archives import BROKEN
from cellcrate_runtime.images.beneath import Tree, split_path
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.ignore import IgnoreFile, ignore_file_names
from cellcrate_runtime.images.errors import InvalidArchiveError, StoreFullError
from cellcrate_runtime.images.merged import MergedTree
from cellcrate_runtime.images.plain_archive import plain_archive

__all__ = ["ContextError", "read_dockerfile", "remove_ignored", "unpack_context"]

_PIECE = 1 << 18
_LARGEST_DOCKERFILE = 8 << 20  # bytes
# While it is filled, and so that it can be removed again.
_OWN_FOLDER = 0o700


class ContextError(InvalidArchiveError):
    """A build context without a Dockerfile, or one that cannot be unpacked."""


def unpack_context(source: BinaryIO, folder: Path) -> None:
    """Unpack what a client sent: a tar archive, which may be packed with gzip, bzip2, xz or zstd.

    Devices are left out. A stream of no bytes is an empty context.

    Raises:
        ContextError: It is no archive.
        UnsafeArchiveError: An entry would lie outside the folder.
        StoreFullError: There is no room.
    """
    raw = io.BufferedReader(cast(io.RawIOBase, source))
    if not raw.peek(1):
        return
    try:
        with (
            plain_archive(raw) as content,
            tarfile.open(fileobj=cast(IO[bytes], content), mode="r|", bufsize=_PIECE) as archive,
            Tree(str(folder)) as tree,
        ):
            unpacker = _Unpacker(archive, tree)
            for member in archive:
                unpacker.add(member)
                archive.members = []  # type: ignore[attr-defined]
            unpacker.finish()
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(f"there is no room for the build context in {folder}") from error
        raise ContextError(f"the build context cannot be unpacked: {error}") from error


class _Unpacker:
    def __init__(self, archive: tarfile.TarFile, tree: Tree) -> None:
        self._archive = archive
        self._tree = tree
        self._folders: dict[tuple[str, ...], tarfile.TarInfo] = {}

    def add(self, member: tarfile.TarInfo) -> None:
        parts = split_path(member.name)
        if not parts:
            return
        if member.isdir():
            self._tree.make_folder(self._tree.folder(parts[:-1]), parts[-1])
            self._folders[parts] = member
            return
        parent, name = self._tree.folder(parts[:-1]), parts[-1]
        self._tree.clear(parent, name)
        if member.islnk():
            self._link(member, parts)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
            _set_time(member, name, parent)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=parent)
            _set_time(member, name, parent)
        elif member.isreg():
            self._write(member, parent, name)

    def finish(self) -> None:
        """Give folders their modes and times, the deepest first."""
        for parts in sorted(self._folders, key=len, reverse=True):
            member = self._folders[parts]
            try:
                folder = self._tree.folder(parts, create=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry took its place
            os.fchmod(folder, stat.S_IMODE(member.mode) | _OWN_FOLDER)
            os.utime(folder, ns=_times(member))

    def _link(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        target = split_path(member.linkname)
        if not target:
            raise InvalidArchiveError(f'the build context has a hard link "{member.name}" to "/"')
        # Both folders are needed at once, and the tree lends only one at a time.
        source = os.dup(self._tree.folder(target[:-1], create=False))
        try:
            there = self._tree.folder(parts[:-1])
            os.link(
                target[-1], parts[-1], src_dir_fd=source, dst_dir_fd=there, follow_symlinks=False
            )
        finally:
            os.close(source)

    def _write(self, member: tarfile.TarInfo, parent: int, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        with open(descriptor, "wb", buffering=0) as file:
            content = self._archive.extractfile(member)
            assert content is not None, "a regular file has content"
            while piece := content.read(_PIECE):
                file.write(piece)
            os.fchmod(descriptor, stat.S_IMODE(member.mode))
            os.utime(descriptor, ns=_times(member))


def _times(member: tarfile.TarInfo) -> tuple[int, int]:
    nanoseconds = round(member.mtime * 1_000_000_000)
    return nanoseconds, nanoseconds


def _set_time(member: tarfile.TarInfo, name: str, folder: int) -> None:
    os.utime(name, ns=_times(member), dir_fd=folder, follow_symlinks=False)


def read_dockerfile(folder: Path, name: str) -> str:
    """Return the text of a context's Dockerfile.

    Raises:
        ContextError: There is none, or it is too large, or no text.
    """
    try:
        _, node = MergedTree([str(folder)]).find(name)
        with open(node.path, "rb") as file:
            content = file.read(_LARGEST_DOCKERFILE + 1)
    except (OSError, ValueError):
        raise ContextError(
            f"Cannot locate specified Dockerfile: {name}. It must be in the build context"
        ) from None
    if len(content) > _LARGEST_DOCKERFILE:
        raise ContextError(f"the Dockerfile ({name}) is too large to be one")
    if not content.strip():
        raise ContextError(f"The Dockerfile ({name}) cannot be empty")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ContextError(f"the Dockerfile ({name}) is not UTF-8 text: {error}") from None


def remove_ignored(folder: Path, dockerfile: str) -> None:
    """Remove what the context's ignore file names, so that nothing can copy it.

    Clients that know the file do not send it; others send all.

    Raises:
        DockerfileError: The ignore file is wrong.
    """
    tree = MergedTree([str(folder)])
    for name in ignore_file_names(dockerfile):
        try:
            _, node = tree.find(name)
            with open(node.path, "rb") as file:
                text = file.read(_LARGEST_DOCKERFILE).decode()
        except OSError:
            continue
        except UnicodeDecodeError as error:
            raise DockerfileError(f"{name} is not UTF-8 text: {error}") from None
        _remove(folder, IgnoreFile(text, name))
        return


def _remove(folder: Path, ignored: IgnoreFile) -> None:
    for here, folders, files in os.walk(folder, topdown=False):
        inside = os.path.relpath(here, folder)
        prefix = "" if inside == "." else f"{inside}/"
        status = os.stat(here)
        for name in files:
            if ignored.ignores(prefix + name):
                os.unlink(os.path.join(here, name))
        for name in folders:
            path = os.path.join(here, name)
            if not ignored.ignores(prefix + name):
                continue
            if os.path.islink(path):
                os.unlink(path)
            elif not os.listdir(path):
                os.rmdir(path)
        # A folder is as old as if what is ignored had never been sent.
        os.utime(here, ns=(status.st_atime_ns, status.st_mtime_ns))
