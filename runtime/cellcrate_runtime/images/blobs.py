"""The blobs of the store: files that go by the digest of what they hold.

Layout: ``blobs/sha256/<64 digits>``; source: OCI image-spec 1.1, image-layout.md.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from cellcrate_runtime.images.digests import HashingReader, HashingWriter, Readable, hex_of
from cellcrate_runtime.images.errors import CorruptContentError, ImageNotFoundError
from cellcrate_runtime.images.files import room_needed, sync_folder

__all__ = ["BlobStore"]

PIECE = 1 << 20
# A manifest or configuration larger than this is not one; registries use the same bound.
LARGEST_DOCUMENT = 4 << 20


class BlobStore:
    """Content-addressed files. Safe to use from several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "blobs" / "sha256"
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be.

        Raises:
            InvalidArchiveError: The digest is not one.
        """
        return self.folder / hex_of(digest)

    def has(self, digest: str) -> bool:
        """Whether a blob is in the store."""
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """The size of a blob in bytes, 0 where it is not in the store."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    @contextlib.contextmanager
    def writing(self, expected: str | None = None) -> Iterator[HashingWriter]:
        """Write a blob piece by piece; it appears in the store when the block ends well.

        Raises:
            CorruptContentError: What was written does not have the expected digest. Nothing stays.
        """
        descriptor, name = tempfile.mkstemp(prefix=".ingest-", dir=self.folder)
        with (
            room_needed(self.folder),
            contextlib.ExitStack() as undo,
            os.fdopen(descriptor, "wb") as file,
        ):
            undo.callback(_unlink_if_there, name)
            writer = HashingWriter(file)
            yield writer
            file.flush()
            if expected is not None and writer.digest != expected:
                raise CorruptContentError(
                    f"what arrived as {expected} is {writer.digest}: "
                    "it was damaged on the way. Try again."
                )
            os.fsync(file.fileno())
            os.rename(name, self.path(writer.digest))
            undo.pop_all()
        sync_folder(self.folder)

    def add(self, content: bytes) -> str:
        """Store some content and return its digest."""
        with self.writing() as writer:
            writer.write(content)
        return writer.digest

    def ingest(self, source: Readable, expected: str | None = None) -> str:
        """Store a stream and return its digest, verified while it streams.

        Raises:
            CorruptContentError: It does not have the expected digest. Nothing stays.
        """
        with self.writing(expected) as writer:
            while piece := source.read(PIECE):
                writer.write(piece)
        return writer.digest

    def adopt(self, file: Path, digest: str) -> None:
        """Let a file, whose digest the caller has checked, be a blob, as a second name of it.

        It lies on the same file system, and is not written to any more. It need not be on the disk
        yet: see :meth:`flush`.
        """
        with contextlib.suppress(FileExistsError):  # somebody else's of this digest is as good
            os.link(file, self.path(digest), follow_symlinks=False)

    def flush(self, digests: Iterable[str]) -> None:
        """Have blobs on the disk when this returns.

        Raises:
            FileNotFoundError: One is not in the store.
            StoreFullError: The disk says only now that there is no room.
        """
        with room_needed(self.folder):
            for digest in digests:
                with self.path(digest).open("rb") as file:
                    os.fsync(file.fileno())
        sync_folder(self.folder)

    @contextlib.contextmanager
    def reading(self, digest: str) -> Iterator[HashingReader]:
        """Read a blob piece by piece; its digest is checked when the end is reached.

        Raises:
            ImageNotFoundError: It is not in the store.
            CorruptContentError: From reading the end, if the file was changed on disk.
        """
        try:
            file = self.path(digest).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise ImageNotFoundError(
                f"the blob {digest} is missing from {self.folder}. "
                "Remove the image that needs it, and load, pull or pack it again."
            ) from error
        with file, HashingReader(file, digest, f"the blob {self.path(digest)}") as reader:
            yield reader

    def read(self, digest: str) -> bytes:
        """Read a document whole, verified.

        Raises:
            ImageNotFoundError: It is not in the store.
            CorruptContentError: It was changed on disk, or is far too large for a document.
        """
        if self.size(digest) > LARGEST_DOCUMENT:
            raise CorruptContentError(f"the blob {digest} is too large for a document.")
        with self.reading(digest) as reader:
            return reader.readall()

    def all(self) -> list[str]:
        """The digests of all blobs."""
        return [f"sha256:{name}" for name in os.listdir(self.folder) if not name.startswith(".")]

    def remove(self, digest: str) -> int:
        """Remove a blob and return the bytes that this frees."""
        size = self.size(digest)
        self.path(digest).unlink(missing_ok=True)
        return size

    def remove_unfinished(self) -> None:
        """Remove what a crash left half-written. Call only while nobody is writing."""
        for name in os.listdir(self.folder):
            if name.startswith(".ingest-"):
                _unlink_if_there(str(self.folder / name))


def _unlink_if_there(name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)
