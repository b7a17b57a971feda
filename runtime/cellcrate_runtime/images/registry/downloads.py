"""Blobs on their way here, which may take more than one connection, and more than one process.

What has arrived of a blob lies in ``downloads/<64 digits>``. Whoever goes on with it holds a lock
on that file, so that two pulls that want the same layer download it once. A blob that is complete
gets a second name among the store's blobs, and keeps the first one until the whole image is there:
should the pull be killed, or fail, what it has is not transferred again. Until then it need not be
on the disk either, so that unpacking does not wait for that; who finds it under both names hashes
it anew.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellcrate_runtime.images.blobs import BlobStore
from cellcrate_runtime.images.digests import PREFIX, hex_of
from cellcrate_runtime.images.errors import CorruptContentError
from cellcrate_runtime.images.files import room_needed
from cellcrate_runtime.images.references import is_digest
from cellcrate_runtime.images.registry.errors import (
    NotInRegistryError,
    RegistryBusyError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.progress import Cancellation, Meter
from cellcrate_runtime.images.registry.retrying import pause_before

if TYPE_CHECKING:
    from hashlib import _Hash

    from cellcrate_runtime.images.registry.repository import Repository
    from cellcrate_runtime.images.registry.transport import Response

__all__ = ["AGE", "Downloads", "Wanted"]

AGE = 7 * 24 * 3600.0
"""Seconds after which nobody is expected to go on with a download."""

_PIECE = 1 << 20
_GLANCE = 0.1  # seconds between two looks at a download that somebody else is busy with


@dataclass(frozen=True, slots=True)
class Wanted:
    """A blob: its digest, and its size in bytes, of which not one more is taken."""

    digest: str
    size: int


class Downloads:
    """The folder ``downloads`` of a store."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self.folder = root / "downloads"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._blobs = blobs

    def is_done(self, digest: str) -> bool:
        """Whether a blob is in the store, and nobody's pull left it there half-way."""
        return self._blobs.has(digest) and not (self.folder / hex_of(digest)).exists()

    def fetch(
        self,
        sources: Sequence[Repository],
        wanted: Wanted,
        meter: Meter,
        cancellation: Cancellation,
    ) -> None:
        """Get a blob into the store, where what is there of it already is not got again.

        Args:
            sources: Where it can be had, best first; a mirror that fails is left for the next.

        Raises:
            CorruptContentError: What comes is not what was asked for. Nothing of it stays.
            RegistryError: It cannot be had. What came stays, for another time.
            StoreFullError: There is no room. Nothing of it stays.
        """
        path = self.folder / hex_of(wanted.digest)
        with self._held(path, wanted, meter, cancellation) as descriptor:
            if self._is_new(descriptor) and self._blobs.has(wanted.digest):
                path.unlink()  # somebody else has just come to the end of it
                return
            download = _Download(descriptor, path, wanted, meter, cancellation, self._blobs)
            with room_needed(self.folder):
                try:
                    download.run(sources)
                    self._blobs.adopt(path, wanted.digest)
                except OSError as error:
                    if error.errno in (errno.ENOSPC, errno.EDQUOT):
                        path.unlink(missing_ok=True)
                    raise

    @staticmethod
    def _is_new(descriptor: int) -> bool:
        status = os.fstat(descriptor)
        return status.st_size == 0 and status.st_nlink == 1

    def forget(self, digests: Sequence[str]) -> None:
        """Take the names away of blobs that an image in the store has."""
        for digest in digests:
            (self.folder / hex_of(digest)).unlink(missing_ok=True)

    def remove_old(self, age: float = AGE) -> int:
        """Remove what nobody has gone on with for so many seconds; return the bytes freed."""
        freed = 0
        now = time.time()
        for name in os.listdir(self.folder):
            path = self.folder / name
            if not is_digest(PREFIX + name):
                continue
            # Not there any more, or somebody is busy with it.
            with (
                contextlib.suppress(FileNotFoundError, BlockingIOError),
                path.open("rb") as file,
            ):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(file.fileno())
                if now - status.st_mtime >= age:
                    path.unlink()
                    freed += status.st_size if status.st_nlink == 1 else 0
        return freed

    @contextlib.contextmanager
    def _held(
        self, path: Path, wanted: Wanted, meter: Meter, cancellation: Cancellation
    ) -> Iterator[int]:
        """Open the file and hold its lock, watching meanwhile how far somebody else has got."""
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o600)
            try:
                while not _try_lock(descriptor):
                    meter.at(min(os.fstat(descriptor).st_size, wanted.size))
                    cancellation.wait(_GLANCE)
                # Whoever had it may have removed it: then this is a file that nobody finds.
                if _is_at(descriptor, path):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


class _Download:
    """One blob, from the first byte that is missing to the last."""

    def __init__(
        self,
        descriptor: int,
        path: Path,
        wanted: Wanted,
        meter: Meter,
        cancellation: Cancellation,
        blobs: BlobStore,
    ) -> None:
        self._descriptor = descriptor
        self._blobs = blobs
        self._path = path
        self._wanted = wanted
        self._meter = meter
        self._cancellation = cancellation
        self._hash: _Hash = hashlib.sha256()
        self._size = 0

    def run(self, sources: Sequence[Repository]) -> None:
        """Go on where it was left, as often as the connection breaks, and verify the whole.

        Raises:
            As :meth:`Downloads.fetch`.
        """
        found = self._take_up()
        self._complete(sources)
        if found and not self._is_right():
            # Perhaps what was found was damaged, and what came is good.
            self._start_anew()
            self._complete(sources)
        if not self._is_right():
            self._path.unlink()
            raise CorruptContentError(
                f"the registry was asked for {self._wanted.digest} and sent {self._digest}. "
                "It was thrown away; nothing of it was unpacked."
            )

    @property
    def _digest(self) -> str:
        return PREFIX + self._hash.hexdigest()

    def _is_right(self) -> bool:
        return self._digest == self._wanted.digest

    def _take_up(self) -> bool:
        """Take what is there into the digest; return whether anything is."""
        status = os.fstat(self._descriptor)
        if status.st_size > self._wanted.size:
            self._start_anew()
        while piece := os.read(self._descriptor, _PIECE):
            self._cancellation.check()
            self._hash.update(piece)
            self._size += len(piece)
        return self._size > 0

    def _start_anew(self) -> None:
        # By its other name, what a crash of the machine has damaged may be a blob.
        if os.fstat(self._descriptor).st_nlink > 1:
            self._blobs.remove(self._wanted.digest)
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self._size = 0

    def _complete(self, sources: Sequence[Repository]) -> None:
        """Get the missing bytes, with a limit to attempts that get none."""
        settings = sources[0].connection.transport.settings
        failures = 0
        while self._size < self._wanted.size:
            before = self._size
            source = sources[failures % len(sources)]
            try:
                self._get_rest(source)
            except (RegistryUnreachableError, RegistryBusyError, NotInRegistryError) as error:
                self._cancellation.check()
                failures = failures + 1 if self._size - before < _PIECE else 1
                passing = not isinstance(error, NotInRegistryError) or failures < len(sources)
                if failures >= settings.attempts * len(sources) or not passing:
                    raise
                self._cancellation.wait(pause_before(failures, settings.pause))

    def _get_rest(self, source: Repository) -> None:
        with source.blob(self._wanted.digest, self._size) as response:
            if response.status == 416 or (self._size and not _goes_on(response, self._size)):
                # The registry sends nothing or all: so all of it, once more.
                self._start_anew()
                if response.status == 416:
                    return
            self._check_length(response)
            for piece in response.pieces():
                self._cancellation.check()
                self._take(piece)
            if self._size < self._wanted.size:
                raise RegistryUnreachableError(
                    f"{response.host} has sent {self._size} of {self._wanted.size} bytes of "
                    f"{self._wanted.digest}, and no more"
                )

    def _check_length(self, response: Response) -> None:
        length = response.headers.get("Content-Length", "")
        missing = self._wanted.size - self._size
        if length.isdecimal() and int(length) != missing:
            self._give_up(f"announces {length} bytes of it where {missing} are missing")

    def _take(self, piece: bytes) -> None:
        if self._size + len(piece) > self._wanted.size:
            self._give_up("sends more of it than that")
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]
        self._hash.update(piece)
        self._size += len(piece)
        self._meter.at(self._size)

    def _give_up(self, what: str) -> None:
        self._path.unlink()
        raise CorruptContentError(
            f"the image's manifest says that {self._wanted.digest} has {self._wanted.size} bytes, "
            f"and the registry {what}. It was thrown away; nothing of it was unpacked."
        )


def _goes_on(response: Response, offset: int) -> bool:
    """Whether an answer begins where it was asked to; see RFC 9110, section 14.4."""
    says = response.headers.get("Content-Range", "")
    return response.status == 206 and says.startswith(f"bytes {offset}-")
