"""Compressed layers are read as what they are, told by their first bytes.

Media types are not relied on: tools have written gzip under the name of plain tar and the reverse.
Both formats are read to their end, frame after frame: what eStargz and zstd:chunked have in
addition, an index for whoever reads only some of the files, are gzip members and skippable frames
like others. Sources: RFC 1952 (gzip), RFC 8878 (zstd).
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import io
import sys
import zlib
from collections.abc import Iterator
from typing import Any, cast

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import InvalidArchiveError

__all__ = ["decompressed"]

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
# The first bytes of a skippable frame; there may be some before the others.
SKIPPABLE = tuple(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))
PIECE = 1 << 18
# What a decoder has to remember is 128 MB at most, as with zstd's own decoder. A frame can ask for
# gigabytes.
ZSTD_WINDOW = 27

_Errors = tuple[type[Exception], ...]


@contextlib.contextmanager
def decompressed(source: io.RawIOBase) -> Iterator[Readable]:
    """Read a layer's blob as the tar archive that it holds.

    Raises:
        InvalidArchiveError: From reading: it is damaged, or ends too early.
    """
    buffered = io.BufferedReader(source, PIECE)
    try:
        start = buffered.peek(len(ZSTD))[: len(ZSTD)]
        if start.startswith(GZIP):
            yield _gzip(buffered)
        elif start in (ZSTD, *SKIPPABLE):
            yield _zstd(buffered)
        else:
            yield buffered
    finally:
        # The source stays open: its owner still wants to see its end.
        buffered.detach()


def _gzip(source: io.BufferedReader[io.RawIOBase]) -> Readable:
    """Read gzip by ISA-L, which takes less than half of zlib's time, where it is made for."""
    errors: _Errors = (zlib.error, EOFError, gzip.BadGzipFile)
    try:
        igzip: Any = importlib.import_module("isal.igzip")
    except ImportError:
        return _Explained(cast(Readable, gzip.GzipFile(fileobj=source)), "gzip", errors)
    error = importlib.import_module("isal.igzip_lib").IsalError
    return _Explained(igzip.IGzipFile(fileobj=source), "gzip", (*errors, error))


def _zstd(source: io.BufferedReader[io.RawIOBase]) -> Readable:
    """Read zstd by the standard library of Python 3.14, or the same for versions before."""
    is_new = sys.version_info >= (3, 14)
    zstd: Any = importlib.import_module("compression.zstd" if is_new else "backports.zstd")
    options = {zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW}
    decoder = zstd.ZstdFile(source, options=options)
    return _Explained(decoder, "zstd", (EOFError, zstd.ZstdError))


class _Explained:
    """Reads from a decoder, and says what its errors mean."""

    def __init__(self, decoder: Readable, name: str, errors: _Errors) -> None:
        self._decoder = decoder
        self._name = name
        self._errors = errors

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._decoder.read(size)
        except self._errors as error:
            raise InvalidArchiveError(
                f"a layer of the image is not good {self._name}: {error}"
            ) from error
