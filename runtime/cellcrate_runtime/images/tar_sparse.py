"""Files with holes, as tar archives have them: where in a file each piece of its content goes.

Four ways to write it down are in use, all of GNU tar's making. Source: GNU tar's manual, appendix
"Storing Sparse Files"; ``struct oldgnu_header`` and ``struct sparse_header`` of its tar.h.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from cellcrate_runtime.images.errors import InvalidArchiveError
from cellcrate_runtime.images.tar_headers import BLOCK, decimal, parse_number
from cellcrate_runtime.images.tar_stream import Stream

__all__ = ["MOST_EXTENTS", "Extent", "checked", "from_block", "from_content", "from_records"]

#: Where a piece of content begins in its file, and how many bytes it has.
Extent = tuple[int, int]

# As many as 16 MB of memory hold; a file of a layer has a few.
MOST_EXTENTS = 100_000
_PAIR = 24  # two numbers of twelve digits
_LONGEST_LINE = 21  # a number and a newline
_FIRST, _IN_FIRST, _FIRST_CONTINUES, _REAL_SIZE = 386, 4, 482, slice(483, 495)
_IN_NEXT, _NEXT_CONTINUES = 21, 504


def from_block(block: bytes, stream: Stream) -> tuple[int, list[Extent]]:
    """The old way: in the header's own block, and in blocks after it that belong to it.

    Returns the file's size and its extents.
    """
    extents = _pairs(block, _FIRST, _IN_FIRST)
    size = parse_number(block[_REAL_SIZE])
    continues = block[_FIRST_CONTINUES]
    while continues:
        block = stream.take(BLOCK)
        extents += _pairs(block, 0, _IN_NEXT)
        continues = block[_NEXT_CONTINUES]
        _refuse_too_many(len(extents))
    return size, extents


def from_records(records: Mapping[bytes, bytes], numbers: Sequence[bytes]) -> list[Extent] | None:
    """PAX formats 0.0 and 0.1: in the PAX header; None where it has none of it.

    Args:
        records: The PAX header.
        numbers: The values of its ``GNU.sparse.offset`` and ``GNU.sparse.numbytes``, which format
            0.0 repeats, in their order.
    """
    text = records.get(b"GNU.sparse.map")
    if text is not None:
        numbers = text.split(b",") if text else []
    elif b"GNU.sparse.numblocks" not in records:
        return None
    return _paired([decimal(number) for number in numbers])


def from_content(stream: Stream) -> tuple[int, list[Extent]]:
    """PAX format 1.0: before the content, a line for each number, filled up to whole blocks.

    Returns the size of all this, and the extents.
    """
    text = stream.take(BLOCK)
    count_text, newline, rest = text.partition(b"\n")
    count = decimal(count_text) if newline else MOST_EXTENTS + 1
    _refuse_too_many(count)
    blocks, lines = [rest], rest.count(b"\n")
    while lines < 2 * count:
        blocks.append(stream.take(BLOCK))
        lines += blocks[-1].count(b"\n")
        if len(blocks) > 2 + 2 * count * _LONGEST_LINE // BLOCK:
            raise InvalidArchiveError("the archive has a sparse file whose map does not end.")
    numbers = b"".join(blocks).split(b"\n")[: 2 * count]
    return BLOCK * len(blocks), _paired([decimal(number) for number in numbers])


def checked(extents: list[Extent], size: int, stored: int) -> list[Extent]:
    """Extents that a file of ``size`` bytes can have, whose content is ``stored`` bytes.

    Raises:
        InvalidArchiveError: They overlap, are out of order, or are not of this size.
    """
    extents = [extent for extent in extents if extent[1]]
    ends = [0, *(start + length for start, length in extents)]
    in_order = all(
        end <= start for end, (start, _) in itertools.zip_longest(ends, [*extents, (size, 0)])
    )
    if not in_order or size >= 1 << 63 or sum(length for _, length in extents) != stored:
        raise InvalidArchiveError("the archive has a sparse file whose pieces do not fit.")
    return extents


def _pairs(block: bytes, at: int, count: int) -> list[Extent]:
    fields = [block[at + n * _PAIR : at + (n + 1) * _PAIR] for n in range(count)]
    return [(parse_number(field[:12]), parse_number(field[12:])) for field in fields if field[0]]


def _paired(numbers: list[int]) -> list[Extent]:
    if len(numbers) % 2:
        raise InvalidArchiveError("the archive has a sparse file whose map has an odd length.")
    _refuse_too_many(len(numbers) // 2)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _refuse_too_many(count: int) -> None:
    if count > MOST_EXTENTS:
        raise InvalidArchiveError(
            f"the archive has a sparse file in more than {MOST_EXTENTS} pieces."
        )
