"""SHA-256 digests, written as the image specification has them: ``sha256:`` and 64 digits."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, Protocol

from cellcrate_runtime.images.errors import CorruptContentError, InvalidArchiveError
from cellcrate_runtime.images.references import is_digest

__all__ = ["HashingReader", "HashingWriter", "Readable", "Writable", "digest_of", "hex_of"]

PREFIX = "sha256:"


class Readable(Protocol):
    """What can be read from, piece by piece."""

    def read(self, size: int = -1, /) -> bytes: ...


class Writable(Protocol):
    """What can be written to, piece by piece."""

    def write(self, data: bytes | memoryview, /) -> int: ...


def digest_of(content: bytes) -> str:
    """The digest of some content."""
    return PREFIX + hashlib.sha256(content).hexdigest()


def hex_of(digest: str) -> str:
    """The 64 digits of a digest, which are safe as a file name.

    Raises:
        InvalidArchiveError: It is not a SHA-256 digest; a name such as ``sha256:../x`` is not.
    """
    if not is_digest(digest):
        raise InvalidArchiveError(
            f'"{digest}" is not a digest that is understood here: only sha256 with 64 digits is.'
        )
    return digest.removeprefix(PREFIX)


class HashingWriter:
    """Passes on what is written to it, and knows its digest and size."""

    def __init__(self, target: Writable | None = None) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        """Write to the target and take the bytes into the digest."""
        if self._target is not None:
            self._target.write(data)
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> str:
        """The digest of everything written so far."""
        return PREFIX + self._hash.hexdigest()


class HashingReader(io.RawIOBase):
    """Reads from a source and refuses its end if it was not what its digest says.

    Only a reader that goes on to the end has had the content checked: see :meth:`drain`.
    """

    def __init__(self, source: Readable | BinaryIO, expected: str, what: str) -> None:
        super().__init__()
        self._source = source
        self._expected = expected
        self._what = what
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """Always true; part of Python's interface of a raw stream."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the source.

        Raises:
            CorruptContentError: The source has ended and its digest is wrong.
        """
        data = self._source.read(len(buffer))
        if not data:
            self._check()
        self._hash.update(data)
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Read what is left, so that the digest is checked."""
        while self.read(1 << 20):
            pass

    def _check(self) -> None:
        found = PREFIX + self._hash.hexdigest()
        if found != self._expected:
            raise CorruptContentError(
                f"{self._what} is damaged: its content is {found}, and should be {self._expected}."
            )
