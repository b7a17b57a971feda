"""What is done to the machine for a container, noted as it is done, where somebody has asked.

The functions that change something call :meth:`Recorder.note` when the kernel has done it, with
what it was told. Nobody records unless :func:`start` was called: :data:`active` is None, and
looking at it is all that a start without a trace pays.

A container's first process gives up every descriptor before its program, and has no path to the
host. So a child notes in memory that it shares with its maker (mmap(2), MAP_SHARED), which needs
neither, and which execve(2) takes away. One child at a time may note.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable, Iterable, Sequence

import msgspec

__all__ = ["FIRST", "Record", "Recorder", "Value", "path_of", "start", "stop"]

Value = str | int | Sequence[str | int]

FIRST = "first process"
"""What a container's first process is called in its notes."""

_SIZE = 1 << 20  # bytes for the notes of children; only what is written to becomes memory
_HEAD = struct.Struct("II")  # how many bytes are used, how many notes found no room
_LENGTH = struct.Struct("I")


class Record(msgspec.Struct, array_like=True):
    """One thing that was done.

    Attributes:
        time: When it was done, in nanoseconds of CLOCK_MONOTONIC.
        by: Which process did it.
        call: The system call, or what it was used for where one call does many things.
        values: What the kernel was told, by name.
    """

    time: int
    by: str
    call: str
    values: dict[str, Value]


class Recorder:
    """The notes of one start.

    Attributes:
        begin: When it began, in nanoseconds of CLOCK_MONOTONIC.
        by: What this process is called in its notes.
        remarks: What whoever reads them should know.
    """

    def __init__(self, by: str) -> None:
        self.begin = time.monotonic_ns()
        self.by = by
        self.remarks: list[str] = []
        self._own: list[Record] = []
        self._shared = mmap.mmap(-1, _SIZE)
        self._used = _HEAD.size
        self._is_child = False
        _HEAD.pack_into(self._shared, 0, self._used, 0)

    def note(self, call: str, /, **values: Value) -> None:
        """Note what has been done."""
        record = Record(time.monotonic_ns(), self.by, call, values)
        if self._is_child:
            self._append(msgspec.msgpack.encode(record))
        else:
            self._own.append(record)

    def prepare(self, call: str, /, **values: Value) -> Callable[[], None]:
        """Prepare a note; what is returned keeps it, without any system call."""
        record = Record(time.monotonic_ns(), self.by, call, values)
        if not self._is_child:
            return lambda: self._own.append(record)
        encoded = msgspec.msgpack.encode(record)
        return lambda: self._append(encoded)

    def become_child(self, by: str) -> None:
        """Go on in a process that was just forked, under a name of its own."""
        self.by = by
        self._is_child = True
        self._used, _ = _HEAD.unpack_from(self._shared)

    def add(self, records: Iterable[Record]) -> None:
        """Add what somebody else has seen."""
        self._own += records

    def records(self) -> tuple[list[Record], int]:
        """Return all notes in the order of time, and how many of them found no room."""
        used, lost = _HEAD.unpack_from(self._shared)
        found, place = list(self._own), _HEAD.size
        while place < used:
            (length,) = _LENGTH.unpack_from(self._shared, place)
            place += _LENGTH.size
            found.append(msgspec.msgpack.decode(self._shared[place : place + length], type=Record))
            place += length
        return sorted(found, key=lambda record: record.time), lost

    def _append(self, encoded: bytes) -> None:
        end = self._used + _LENGTH.size + len(encoded)
        _, lost = _HEAD.unpack_from(self._shared)
        if end > _SIZE:
            _HEAD.pack_into(self._shared, 0, self._used, lost + 1)
            return
        _LENGTH.pack_into(self._shared, self._used, len(encoded))
        self._shared[self._used + _LENGTH.size : end] = encoded
        self._used = end
        _HEAD.pack_into(self._shared, 0, end, lost)


active: Recorder | None = None
"""Who notes in this process, if anybody does."""


def start(by: str) -> Recorder:
    """Note from now on what this process and its children do."""
    global active
    active = Recorder(by)
    return active


def stop() -> None:
    """Note no more."""
    global active
    active = None


def path_of(descriptor: int) -> str:
    """Return the path of an open file as the kernel knows it (proc(5), /proc/pid/fd).

    The root of a mount that has no place has the path ``/``.
    """
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"descriptor {descriptor}"
