"""The content of a file of an archive becomes that of a file on disk."""

from __future__ import annotations

import os

from cellcrate_runtime.images.tar_reader import Entry
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["write_content"]


def write_content(descriptor: int, entry: Entry, stream: Stream) -> None:
    """Write it to a file that is open and empty; where the archive has holes, the file has some.

    Raises:
        InvalidArchiveError: The archive ends before.
        OSError: The disk is full.
    """
    if entry.extents is not None:
        _write_with_holes(descriptor, entry, stream)
        return
    for piece in entry.pieces(stream):
        while piece:
            piece = piece[os.write(descriptor, piece) :]


def _write_with_holes(descriptor: int, entry: Entry, stream: Stream) -> None:
    assert entry.extents is not None, "it has holes"
    os.ftruncate(descriptor, entry.size)
    extents = iter(entry.extents)
    at = left = 0
    for piece in entry.pieces(stream):
        while piece:
            if not left:
                at, left = next(extents)
            written = os.pwrite(descriptor, piece[:left], at)
            at, left, piece = at + written, left - written, piece[written:]
