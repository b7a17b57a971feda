"""A container's log: what Docker's ``json-file`` driver writes, so that the same tools read it.

One JSON object a line: ``{"log":"text\\n","stream":"stdout","time":"2025-01-02T03:04:05.6Z"}``.
Text without a line's end is a part of a longer line. Source: Docker's documentation, "JSON File
logging driver"; a line is cut after 16 KiB as moby's daemon/logger/copier.go does.
"""

from __future__ import annotations

import contextlib
import os
import time

import msgspec

from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.protocol import LogFile

__all__ = ["PART", "JsonLog"]

PART = 16 * 1024
"""The longest piece of a line, in bytes, that one entry holds."""

STREAMS = {1: b"stdout", 2: b"stderr"}

_encode = msgspec.json.Encoder().encode


class JsonLog:
    """Appends to a log, and begins a new file when one is full.

    A log that cannot be written (a full disk) loses entries, said once on standard error; it never
    stops the container, and never keeps half an entry.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, log: LogFile) -> None:
        self._path = log.path
        self._max_size = log.max_size
        self._max_files = max(1, log.max_files)
        self._file = _open(log.path)
        self._size = os.fstat(self._file).st_size
        self._unfinished = {1: b"", 2: b""}  # the begun line of each stream
        self._second = 0
        self._second_text = b""
        self._complained = False

    def write(self, stream: int, data: bytes) -> None:
        """Record output of stream 1 (stdout) or 2 (stderr); a begun line waits for its end."""
        head = self._unfinished[stream]
        if head:
            data = head + data
        tail = b',"stream":"' + STREAMS[stream] + b'","time":"' + self._now() + b'"}\n'
        entries = []
        start = 0
        while True:
            end = data.find(b"\n", start, start + PART) + 1
            if not end:
                if len(data) - start <= PART:
                    break
                end = _before_split_character(data, start, start + PART)
            text = data[start:end].decode("utf-8", "replace")
            entries.append(b'{"log":' + _encode(text) + tail)
            start = end
        self._unfinished[stream] = data[start:]
        self._append(entries)

    def finish(self, stream: int) -> None:
        """Record a last line that has no end."""
        text = self._unfinished[stream].decode("utf-8", "replace")
        if text:
            self._unfinished[stream] = b""
            stem = b'{"log":' + _encode(text) + b',"stream":"' + STREAMS[stream]
            self._append([stem + b'","time":"' + self._now() + b'"}\n'])

    def close(self) -> None:
        """Close the file; what is unfinished is recorded first."""
        for stream in STREAMS:
            self.finish(stream)
        os.close(self._file)

    def _now(self) -> bytes:
        """The time in RFC 3339 with nanoseconds, in UTC."""
        second, nanosecond = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%s.%09dZ" % (self._second_text, nanosecond)

    def _append(self, entries: list[bytes]) -> None:
        if not self._max_size:
            self._write(b"".join(entries))
            return
        block: list[bytes] = []
        size = self._size
        for entry in entries:
            if size and size + len(entry) > self._max_size:
                self._write(b"".join(block))
                self._rotate()
                block, size = [], self._size
            block.append(entry)
            size += len(entry)
        self._write(b"".join(block))

    def _write(self, block: bytes) -> None:
        if not block:
            return
        try:
            written = os.write(self._file, block)
            if written < len(block):  # the disk has just become full
                os.ftruncate(self._file, self._size)
                raise OSError("there was room for a part only")
        except OSError as error:
            self._complain(error)
        else:
            self._size += written

    def _rotate(self) -> None:
        """Make ``log`` ``log.1``, that one ``log.2``, and so on; the oldest is given up.

        The name ``log`` always exists, so that somebody who reads along never misses it.
        """
        fresh = f"{self._path}.new"
        try:
            for number in range(self._max_files - 1, 1, -1):
                _rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
            if self._max_files > 1:
                _rename_second_name(self._path, f"{self._path}.1")
            file = _open(fresh)
            os.rename(fresh, self._path)
        except OSError as error:
            self._complain(error)
            return
        os.close(self._file)
        self._file, self._size = file, 0

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            complain(f"the log {self._path} has a gap: {error}")


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)


def _rename(old: str, new: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # there have not been so many yet
        os.rename(old, new)


def _rename_second_name(path: str, second: str) -> None:
    """Give a file a second name, in the place of what had that name."""
    temporary = f"{second}.link"
    os.link(path, temporary)
    os.rename(temporary, second)


def _before_split_character(data: bytes, start: int, end: int) -> int:
    """Where to cut near ``end`` so that no UTF-8 character is cut; ``end`` where none would be."""
    for cut in range(end, max(start, end - 4), -1):
        if data[cut] & 0xC0 != 0x80:  # the first byte of a character
            return cut
    return end
