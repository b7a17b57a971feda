"""How large a layer may become on disk, so that a small blob cannot fill the machine's.

A gigabyte of zeros is a megabyte of gzip. A layer is stopped while it is read, at a limit of its
own, and when the disk would have hardly any room left.
"""

from __future__ import annotations

import errno
import io
import os
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import ImageError, InvalidArchiveError, LayerTooLargeError

__all__ = ["LayerLimits", "LimitedReader"]

_BYTES = "CELLCRATE_LAYER_MAX_BYTES"
_ENTRIES = "CELLCRATE_LAYER_MAX_ENTRIES"
# Of what people use, layers with models of a language are the largest: some ten gigabytes.
_MOST_BYTES = 128 << 30
_MOST_ENTRIES = 2_000_000
_RESERVE_PART, _RESERVE_MOST = 50, 64 << 20  # a fiftieth of the disk, at most so many bytes


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """The most that a layer may have: bytes of its uncompressed archive, and entries in it."""

    bytes: int
    entries: int

    @classmethod
    def from_environment(cls) -> LayerLimits:
        """What the environment says, in CELLCRATE_LAYER_MAX_BYTES and CELLCRATE_LAYER_MAX_ENTRIES.

        Raises:
            ImageError: That is not a number.
        """
        return cls(_number(_BYTES, _MOST_BYTES), _number(_ENTRIES, _MOST_ENTRIES))

    @staticmethod
    def too_many(entries: int) -> InvalidArchiveError:
        """What to raise where a layer has more entries than that."""
        return LayerTooLargeError(
            f"a layer of the image has more than {entries} files. If that is meant, set "
            f"{_ENTRIES} to a higher number."
        )


class LimitedReader(io.RawIOBase):
    """Reads a layer's uncompressed archive, and refuses to go on beyond the limit."""

    def __init__(self, source: Readable, limit: int, folder: Path) -> None:
        super().__init__()
        self._source = source
        self._limit = limit
        self._folder = folder
        self._size = 0
        status = os.statvfs(folder)
        self._reserve = min(status.f_blocks * status.f_frsize // _RESERVE_PART, _RESERVE_MOST)
        self._next_check = self._reserve // 2

    def readable(self) -> bool:
        """Always true; part of Python's interface of a raw stream."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Read some of the source.

        Raises:
            LayerTooLargeError: It has more bytes than the limit.
            OSError: ENOSPC, there is hardly any room left on the disk.
        """
        data = self._source.read(size)
        self._size += len(data)
        if self._size > self._limit:
            raise LayerTooLargeError(
                f"a layer of the image has more than {self._limit} bytes. If that is meant, set "
                f"{_BYTES} to a higher number."
            )
        if self._size >= self._next_check:
            self._next_check = self._size + self._reserve // 2
            self._refuse_full_disk()
        return data

    def _refuse_full_disk(self) -> None:
        status = os.statvfs(self._folder)
        if status.f_bavail * status.f_frsize < self._reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder))


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise ImageError(f'{name} is "{text}", which is not a number. Unset it for {default}.')
    return int(text)
