"""Numbers as a person reads them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

__all__ = ["age", "human_size", "seconds_since", "span"]

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def human_size(number: float) -> str:
    """Write a number of bytes, in the units of --memory."""
    if number < 1024:
        return f"{number:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.4g} {unit}"
    return f"{number / 1024:.4g} TiB"


def span(seconds: float) -> str:
    """Write a length of time in its largest unit: ``5 minutes``."""
    for name, size in _UNITS:
        amount = int(seconds // size)
        if amount:
            return f"{amount} {name}{'s' * (amount > 1)}"
    return "less than a second"


def age(created: float) -> str:
    """Write how long ago a moment was, given in seconds since 1970."""
    return f"{span(max(0.0, time.time() - created))} ago"


def seconds_since(moment: str) -> float | None:
    """Return how long ago a moment was that the engine wrote, or None for "never".

    It writes RFC 3339 with up to nine decimals, and the year 1 for what has not happened.
    """
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$", moment)
    if match is None or moment.startswith("0001"):
        return None
    zone = (match[3] or "Z").replace("Z", "+00:00")
    then = datetime.fromisoformat(match[1] + zone)
    fraction = float(match[2] or 0)
    return (datetime.now(UTC) - then).total_seconds() - fraction
