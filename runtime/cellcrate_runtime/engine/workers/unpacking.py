"""Unpack a tar archive in a folder; ``/`` is the container's root, so nothing lies outside it.

Source: moby, vendor go-archive's archive.go: what is there already is replaced, except that
folders are merged; an entry that would leave the target folder is refused.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tarfile

from cellcrate_runtime.engine.protocol import PutArchive
from cellcrate_runtime.engine.workers.answers import Answers, TaskError
from cellcrate_runtime.engine.workers.paths import absolute

__all__ = ["unpack"]

_BUFFER = 256 * 1024
_NODES = {
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}
_XATTR = "SCHILY.xattr."


def unpack(task: PutArchive, owner: tuple[int, int] | None, answers: Answers) -> None:
    """Unpack the archive that the engine sends.

    Args:
        task: Where, and whether folders may be replaced by files.
        owner: The user and group who get everything; None for the archive's own numbers.
        answers: Where the archive comes from.

    Raises:
        TaskError: The target is missing or no folder, or an entry may not be unpacked.
        tarfile.TarError: The archive is broken.
        OSError: The kernel refused something.
    """
    target = _target(task.path)
    unpacker = _Unpacker(target, owner, task.keep_kinds)
    with (
        answers.reader() as stream,
        tarfile.open(
            fileobj=stream, mode="r|*", bufsize=_BUFFER, errors="surrogateescape"
        ) as archive,
    ):
        for entry in archive:
            unpacker.add(archive, entry)
        unpacker.finish()
        while stream.read(_BUFFER):  # padding behind the end of the archive
            pass


def _target(path: str) -> str:
    target = absolute(path)
    try:
        status = os.stat(target)
    except FileNotFoundError as error:
        message = f"Could not find the file {target} in the container"
        raise TaskError("not_found", message) from error
    if not stat.S_ISDIR(status.st_mode):
        raise TaskError("not_a_directory", "extraction point is not a directory")
    if not os.access(target, os.W_OK) and os.statvfs(target).f_flag & os.ST_RDONLY:
        raise TaskError("read_only", f"{target} is on a read-only file system of the container")
    return os.path.realpath(target)


class _Unpacker:
    def __init__(self, target: str, owner: tuple[int, int] | None, keep_kinds: bool) -> None:
        self._target = target
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._folders: list[tuple[str, tarfile.TarInfo]] = []

    def add(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        path = self._inside(entry.name)
        if path == self._target and not entry.isdir():
            raise TaskError("invalid", f'the archive has an entry "{entry.name}" without a name')
        if path != self._target:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            self._make_room(path, entry)
        self._make(archive, entry, path)
        if path == self._target and posixpath.normpath(entry.name) == ".":
            return  # as Docker: the folder that is unpacked into keeps its owner and mode
        if not entry.islnk():
            self._dress(entry, path)

    def finish(self) -> None:
        """Set the folders' times, which unpacking into them has changed."""
        for path, entry in reversed(self._folders):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (entry.mtime, entry.mtime))

    def _inside(self, name: str) -> str:
        clean = posixpath.normpath(name.lstrip("/") or ".")
        if clean == ".." or clean.startswith("../"):
            raise TaskError(
                "invalid", f'the archive has an entry "{name}", which would lie outside its folder'
            )
        return self._target if clean == "." else posixpath.join(self._target, clean)

    def _make_room(self, path: str, entry: tarfile.TarInfo) -> None:
        try:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
        except FileNotFoundError:
            return
        if is_folder and entry.isdir():
            return
        if self._keep_kinds and is_folder != entry.isdir():
            there, new = ("directory", "non-directory")[:: 1 if is_folder else -1]
            raise TaskError(
                "invalid", f'cannot overwrite {there} "{path}" with {new} "{entry.name}"'
            )
        if is_folder:
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def _make(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
        if entry.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            self._folders.append((path, entry))
        elif entry.isreg():
            content = archive.extractfile(entry)
            assert content is not None
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(path, flags, 0o600), "wb", buffering=0) as file:
                shutil.copyfileobj(content, file, _BUFFER)
        elif entry.issym():
            os.symlink(entry.linkname, path)
        elif entry.islnk():
            os.link(self._inside(entry.linkname), path, follow_symlinks=False)
        elif entry.type in _NODES:
            device = os.makedev(entry.devmajor, entry.devminor)
            os.mknod(path, _NODES[entry.type] | 0o600, device)
        else:
            raise TaskError(
                "invalid",
                f'the archive has an entry "{entry.name}" of the unknown type {entry.type!r}',
            )

    def _dress(self, entry: tarfile.TarInfo, path: str) -> None:
        """Give a file its owner, mode, attributes and time, in this order: see chown(2)."""
        uid, gid = self._owner or (entry.uid, entry.gid)
        os.chown(path, uid, gid, follow_symlinks=False)
        if entry.issym():
            os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
            return
        os.chmod(path, entry.mode & 0o7777)
        for name, value in entry.pax_headers.items():
            if name.startswith(_XATTR):
                content = value.encode("utf-8", "surrogateescape")
                os.setxattr(path, name.removeprefix(_XATTR), content, follow_symlinks=False)
        os.utime(path, (entry.mtime, entry.mtime))
