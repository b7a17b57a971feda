"""Tar archives, written entry by entry: the same entries give the same bytes.

The format is PAX, which has times in nanoseconds, extended attributes, and names that need neither
be short nor UTF-8. Source: pax(1), "pax Interchange Format"; tar(5), "Pax Interchange Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable

from cellcrate_runtime.images.digests import Writable

__all__ = ["TarWriter", "set_time"]

_BLOCK = 512
_SECOND = 1_000_000_000


class TarWriter:
    """Writes entries to a stream, and keeps nothing of them (as tarfile's own writer would)."""

    def __init__(self, output: Writable) -> None:
        self._output = output
        self._size = 0

    def add(self, entry: tarfile.TarInfo, content: Iterable[bytes] = ()) -> None:
        """Add an entry.

        Args:
            entry: Its header. Names are text as the operating system's functions return it.
            content: As many bytes as the header says, in pieces.
        """
        self._write(entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        for piece in content:
            self._write(piece)
        if self._size % _BLOCK:
            self._write(bytes(-self._size % _BLOCK))

    def finish(self) -> None:
        """Write the archive's end: two empty blocks, see tar(5).

        They are not filled up to a whole record, which is for tapes. So an archive without entries
        is the one that Docker knows as the empty layer.
        """
        self._write(bytes(2 * _BLOCK))

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self._size += len(data)


def set_time(entry: tarfile.TarInfo, nanoseconds: int) -> None:
    """Set an entry's time, in nanoseconds since 1970, exactly."""
    entry.mtime, rest = divmod(nanoseconds, _SECOND)
    if rest:
        whole, sign = (nanoseconds, "") if nanoseconds >= 0 else (-nanoseconds, "-")
        text = f"{sign}{whole // _SECOND}.{whole % _SECOND:09}"
        entry.pax_headers = {**entry.pax_headers, "mtime": text.rstrip("0")}
