"""Moments and lengths of time as the Docker Engine API writes them.

Inside the engine a moment is an ``int``: nanoseconds since 1970 in UTC. The API writes moments as
RFC 3339 text, and accepts in ``since`` and ``until`` also Unix seconds with a fraction and lengths
of time that are counted back from now (``10m``).

Sources: RFC 3339; Docker Engine API reference, "since" of ``/events`` and of
``/containers/{id}/logs``; the grammar of lengths is that of Go's ``time.ParseDuration``.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone

from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.images.dockerfile.durations import nanoseconds

__all__ = [
    "SECOND",
    "InvalidTimeError",
    "fixed_rfc3339",
    "format_rfc3339",
    "now",
    "parse",
    "parse_duration",
    "parse_rfc3339",
]

SECOND = 1_000_000_000

_UNIX = re.compile(r"(-?\d+)(?:\.(\d{1,9}))?")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?)?"
    r"([Zz]|[+-]\d\d:\d\d)?"
)


class InvalidTimeError(BadRequestError):
    """A text that names neither a moment nor a length of time."""


def now() -> int:
    """Return this moment."""
    return time.time_ns()


def parse(text: str, reference: int | None = None) -> int:
    """Return the moment that a ``since`` or ``until`` parameter names.

    Args:
        text: Unix seconds (``1700000000``, ``1700000000.25``), an RFC 3339 date and time, of which
            the end may be missing (``2024-01-31``), or a length of time before *reference*
            (``1h30m``).
        reference: The moment that a length of time is counted back from; now, when missing.

    Raises:
        InvalidTimeError: The text is none of these.
    """
    text = text.strip()
    if unix := _UNIX.fullmatch(text):
        whole, fraction = unix.groups()
        return int(whole) * SECOND + int((fraction or "").ljust(9, "0"))
    if _RFC3339.fullmatch(text):
        return parse_rfc3339(text)
    try:
        length = parse_duration(text)
    except InvalidTimeError:
        raise InvalidTimeError(
            f"{text!r} is not a time: give Unix seconds (1700000000.5), a date and time "
            "(2024-01-31T12:00:00Z), or a time before now (10m, 1h30m)"
        ) from None
    return (now() if reference is None else reference) - length


def parse_rfc3339(text: str) -> int:
    """Return the moment of an RFC 3339 date and time.

    What is missing at the end counts as zero, and a missing zone as the local one, as the
    ``docker`` command has it.

    Raises:
        InvalidTimeError: The text is not such a date.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise InvalidTimeError(f"{text!r} is not a date and time such as 2024-01-31T12:00:00Z")
    day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}")
    except ValueError as error:
        raise InvalidTimeError(f"{text!r} is not a date and time: {error}") from None
    moment = moment.astimezone() if zone is None else moment.replace(tzinfo=_zone(zone))
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since_epoch // timedelta(seconds=1)
    return seconds * SECOND + int((fraction or "").ljust(9, "0"))


def _zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)


def parse_duration(text: str) -> int:
    """Return a length of time in nanoseconds, from text such as ``1h30m``, ``1.5s`` or ``-2ms``.

    Raises:
        InvalidTimeError: The text is no length of time, or has a number without a unit.
    """
    try:
        return nanoseconds(text)
    except ValueError:
        raise InvalidTimeError(
            f"{text!r} is not a length of time such as 300ms, 10s or 1h30m"
        ) from None


def format_rfc3339(moment: int) -> str:
    """Return a moment as RFC 3339 text in UTC, without zeros at the end of the fraction."""
    seconds, fraction = divmod(moment, SECOND)
    text = _utc(seconds)
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def fixed_rfc3339(text: str) -> str:
    """Return RFC 3339 text in UTC with all nine digits of the fraction.

    Texts of this form sort as the moments they name, and it is the form of ``logs --timestamps``.
    """
    if not text.endswith("Z"):
        seconds, nanoseconds = divmod(parse_rfc3339(text), SECOND)
        return f"{_utc(seconds)}.{nanoseconds:09d}Z"
    whole, _, fraction = text[:-1].partition(".")
    return f"{whole}.{fraction:0<9}Z"


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
