"""Lengths of time as Go writes them, such as ``1m30s``: HEALTHCHECK has them.

Source: Go's time.ParseDuration.
"""

from __future__ import annotations

import re
from decimal import Decimal

__all__ = ["nanoseconds"]

_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3,
    "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MOST = 2**63 - 1


def nanoseconds(text: str) -> int:
    """Return how many nanoseconds a length of time has.

    Raises:
        ValueError: It is not written so, or is too long.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = Decimal(0)
    position = 0
    while position < len(rest) or not rest:
        match = _PART.match(rest, position)
        if match is None:
            raise ValueError(
                f'time: invalid duration "{text}": write it with units, such as 30s, 500ms or 1m30s'
            )
        total += Decimal(match[1]) * _UNITS[match[2]]
        if total > _MOST:
            raise ValueError(f'time: invalid duration "{text}": it is too long')
        position = match.end()
    return sign * int(total)
