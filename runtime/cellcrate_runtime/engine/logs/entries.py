"""One line of a log, and the form in which the API sends it.

Source: Docker Engine API reference, "Get container logs" and "Attach to a container" (the header
of a frame: the stream, three zeros, the length of what follows in four bytes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec

from cellcrate_runtime.engine import timestamps

__all__ = ["Entry", "Wanted", "decode", "encode", "select"]

_STREAM_NUMBERS = {"stdout": 1, "stderr": 2}
_LENGTH = len("2024-01-31T12:00:00.123456789Z")
_header = struct.Struct(">BxxxL")


class Entry(msgspec.Struct, frozen=True):
    """What a container wrote: a line, or a piece of a very long one, with its line end."""

    log: str
    stream: str
    time: str  # RFC 3339 with nanoseconds


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a log are wanted, and how they are sent.

    ``since`` and ``until`` are moments in nanoseconds; ``tail`` is the number of lines at the end
    that are looked at, before any other choice; ``framed`` tells the streams apart by a header,
    which a terminal's log has no use for.
    """

    stdout: bool = True
    stderr: bool = True
    since: int | None = None
    until: int | None = None
    tail: int | None = None
    timestamps: bool = False
    details: bool = False
    framed: bool = True


_decoder = msgspec.json.Decoder(Entry)


def decode(lines: bytes) -> list[Entry]:
    """Return the entries of whole lines; those that are damaged are left out.

    A line is damaged when the machine stopped while it was written.
    """
    try:
        return _decoder.decode_lines(lines)
    except msgspec.DecodeError:
        return list(_decode_undamaged(lines))


def _decode_undamaged(lines: bytes) -> Iterable[Entry]:
    for line in lines.splitlines():
        try:
            yield _decoder.decode(line)
        except msgspec.DecodeError:
            continue


def select(entries: list[Entry], wanted: Wanted) -> tuple[list[Entry], bool]:
    """Return the entries that are wanted, and whether one was later than *until*."""
    if wanted.since is None and wanted.until is None:
        return _of_streams(entries, wanted), False
    # Times of this form sort as text, which spares reading each of them as a date.
    since = _bound(wanted.since) or ""
    until = _bound(wanted.until) or "~"
    if entries and since <= _time(entries[0]) and _time(entries[-1]) <= until:
        return _of_streams(entries, wanted), False  # a log is in the order of time
    chosen: list[Entry] = []
    for entry in entries:
        moment = _time(entry)
        if moment > until:
            return _of_streams(chosen, wanted), True
        if moment >= since:
            chosen.append(entry)
    return _of_streams(chosen, wanted), False


def _time(entry: Entry) -> str:
    """Return the time of an entry with nine digits, which most times have already."""
    time = entry.time
    return time if len(time) == _LENGTH and time[-1] == "Z" else timestamps.fixed_rfc3339(time)


def _bound(moment: int | None) -> str | None:
    if moment is None:
        return None
    return timestamps.fixed_rfc3339(timestamps.format_rfc3339(moment))


def _of_streams(entries: list[Entry], wanted: Wanted) -> list[Entry]:
    if wanted.stdout and wanted.stderr:
        return entries
    return [entry for entry in entries if getattr(wanted, entry.stream, False)]


def encode(entries: Iterable[Entry], wanted: Wanted) -> bytes:
    """Return entries as the body of an answer carries them."""
    pieces = []
    for entry in entries:
        text = entry.log
        if wanted.details:
            text = f" {text}"
        if wanted.timestamps:
            text = f"{_time(entry)} {text}"
        line = text.encode()
        if wanted.framed:
            pieces.append(_header.pack(_STREAM_NUMBERS.get(entry.stream, 1), len(line)))
        pieces.append(line)
    return b"".join(pieces)
