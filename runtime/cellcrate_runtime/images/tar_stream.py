"""A stream's bytes by number: so many for a header, so many for a file, so many to leave out."""

from __future__ import annotations

from collections.abc import Iterator

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import InvalidArchiveError

__all__ = ["PIECE", "Stream"]

PIECE = 1 << 18  # bytes; few system calls for a large file, and little memory


class Stream:
    """What is left to read of a source. Nothing is copied that can be lent."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._piece = memoryview(b"")
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            InvalidArchiveError: The source ends before.
        """
        end = self._at + size
        if end <= len(self._piece):
            taken = bytes(self._piece[self._at : end])
            self._at = end
            return taken
        return b"".join(self.pieces(size))

    def take_if_any(self, size: int) -> bytes | None:
        """The next bytes; None at the end of the source.

        Raises:
            InvalidArchiveError: The source ends after some of them.
        """
        return self.take(size) if self._at < len(self._piece) or self._fill() else None

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next bytes, in pieces that are valid until the next one is asked for.

        Raises:
            InvalidArchiveError: The source ends before.
        """
        while size:
            if self._at == len(self._piece) and not self._fill():
                raise InvalidArchiveError("the archive ends in the middle of an entry.")
            piece = self._piece[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Leave out the next bytes.

        Raises:
            InvalidArchiveError: The source ends before.
        """
        end = self._at + size
        if end <= len(self._piece):
            self._at = end
            return
        for _ in self.pieces(size):
            pass

    def _fill(self) -> bool:
        self._piece, self._at = memoryview(self._source.read(PIECE)), 0
        return len(self._piece) > 0
