"""Sizes, times and tables, in the words that docker uses."""

from __future__ import annotations

import time
from collections.abc import Sequence

__all__ = ["ago", "duration", "size", "table"]

UNITS = (
    (365 * 24 * 3600, "year"),
    (30 * 24 * 3600, "month"),
    (7 * 24 * 3600, "week"),
    (24 * 3600, "day"),
    (3600, "hour"),
    (60, "minute"),
    (1, "second"),
)


def size(number: float) -> str:
    """A number of bytes, in decimal units: ``63.4MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        # 999.6 would be written as 1e+03.
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}TB"


def duration(seconds: float) -> str:
    """A span of time, in its largest unit: ``3 hours``."""
    for length, name in UNITS:
        # Docker changes to the larger unit only when there are two of it, save for the smaller.
        if seconds >= 2 * length or (seconds >= length and length <= 60):
            count = int(seconds // length)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return "less than a second"


def ago(moment: float) -> str:
    """How long ago a moment was, given in seconds since 1970."""
    return f"{duration(max(0.0, time.time() - moment))} ago" if moment > 0 else "N/A"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, each as wide as its widest cell."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
