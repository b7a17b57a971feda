"""Archives that people make: compressed in all ways that are usual, of which layers know two."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from typing import cast

from cellcrate_runtime.images.compression import decompressed
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import InvalidArchiveError

__all__ = ["plain_archive"]

# Source: magic(5).
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\x00"
_PIECE = 1 << 18


@contextlib.contextmanager
def plain_archive(archive: Readable) -> Iterator[Readable]:
    """Read an archive that may be compressed in a way that layers are not, too.

    Raises:
        InvalidArchiveError: From reading: it is not well compressed.
    """
    source = io.BufferedReader(_Raw(archive), _PIECE)
    start = source.peek(len(_XZ))
    try:
        if start.startswith(_BZIP2):
            with bz2.open(source) as file:
                yield cast(Readable, file)
        elif start.startswith(_XZ):
            with lzma.open(source) as file:
                yield cast(Readable, file)
        else:
            with decompressed(cast(io.RawIOBase, source)) as plain:
                yield plain
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise InvalidArchiveError(f"the archive is not well compressed: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # How bz2 says it.
        raise InvalidArchiveError(f"the archive is not well compressed: {error}") from error


class _Raw(io.RawIOBase):
    """Anything that can be read, as Python's buffered readers want it."""

    def __init__(self, source: Readable) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
