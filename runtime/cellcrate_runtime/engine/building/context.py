"""A build's context: what a client sends, in a folder of the build's own.

Nothing in the archive can name anything outside that folder, see
:mod:`cellcrate_runtime.images.beneath`. Owners are not kept, because copies belong to root, or to
whom the Dockerfile says.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import BinaryIO

from cellcrate_runtime.images.beneath import Tree, split_path
from cellcrate_runtime.images.describing import time_of
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.ignore import IgnoreFile, ignore_file_names
from cellcrate_runtime.images.entry_content import write_content
from cellcrate_runtime.images.errors import InvalidArchiveError, StoreFullError, UnsafeArchiveError
from cellcrate_runtime.images.merged import MergedTree
from cellcrate_runtime.images.plain_archive import plain_archive
from cellcrate_runtime.images.tar_reader import FIFO, FILE, FOLDER, HARD_LINK, LINK, Entry, read_tar
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["ContextError", "read_dockerfile", "remove_ignored", "unpack_context"]

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
    try:
        with plain_archive(source) as content, Tree(str(folder)) as tree:
            unpacker = _Unpacker(tree)
            for entry, stream in read_tar(content):
                unpacker.add(entry, stream)
            unpacker.finish()
    except UnsafeArchiveError:
        raise
    except (InvalidArchiveError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(f"there is no room for the build context in {folder}") from error
        raise ContextError(f"the build context cannot be unpacked: {error}") from error


class _Unpacker:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._folders: dict[tuple[str, ...], Entry] = {}

    def add(self, entry: Entry, stream: Stream) -> None:
        parts = split_path(entry.name)
        if not parts:
            return
        if entry.kind == HARD_LINK:
            self._tree.link(parts, entry)
            return
        parent, name = self._tree.folder(parts[:-1]), parts[-1]
        if entry.kind == FOLDER:
            self._tree.make_folder(parent, name)
            self._folders[parts] = entry
        elif entry.kind == FILE:
            self._write(entry, stream, parent, name)
        elif entry.kind == LINK:
            self._tree.symlink(parent, name, entry)
            _set_time(entry, name, parent)
        elif entry.kind == FIFO:
            self._tree.put(parent, name, lambda: os.mkfifo(name, 0o600, dir_fd=parent))
            _set_time(entry, name, parent)
        else:
            self._tree.clear(parent, name)

    def finish(self) -> None:
        """Give folders their modes and times, the deepest first."""
        for parts in sorted(self._folders, key=len, reverse=True):
            entry = self._folders[parts]
            try:
                folder = self._tree.folder(parts, create=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a later entry took its place
            os.fchmod(folder, entry.mode & 0o7777 | _OWN_FOLDER)
            os.utime(folder, ns=_times(entry))

    def _write(self, entry: Entry, stream: Stream, parent: int, name: str) -> None:
        descriptor = self._tree.new_file(parent, name)
        try:
            write_content(descriptor, entry, stream)
            os.fchmod(descriptor, entry.mode & 0o7777)
            os.utime(descriptor, ns=_times(entry))
        finally:
            os.close(descriptor)


def _times(entry: Entry) -> tuple[int, int]:
    return time_of(entry), time_of(entry)


def _set_time(entry: Entry, name: str, folder: int) -> None:
    os.utime(name, ns=_times(entry), dir_fd=folder, follow_symlinks=False)


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
