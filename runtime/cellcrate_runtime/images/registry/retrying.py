"""Trying again what may work the next time, and when."""

from __future__ import annotations

import email.utils
import random
import time

__all__ = ["LONGEST_PAUSE", "PASSING", "asked_pause", "pause_before"]

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be others a moment later. Source: RFC 9110, section 15; RFC 6585, RFC 8470."""

LONGEST_PAUSE = 30.0  # seconds; a registry that asks for more is told to people instead


def pause_before(attempt: int, first: float) -> float:
    """How many seconds to wait before an attempt; the second one is number 1.

    The pause doubles each time. A random part of it keeps many clients, who were all refused at the
    same moment, from coming back at the same moment.
    """
    longest = min(LONGEST_PAUSE, first * 2.0 ** (attempt - 1))
    return longest * random.uniform(0.5, 1.0)


def asked_pause(retry_after: str | None) -> float | None:
    """How many seconds the header ``Retry-After`` asks for: it has seconds, or a date.

    Source: RFC 9110, section 10.2.3.
    """
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
