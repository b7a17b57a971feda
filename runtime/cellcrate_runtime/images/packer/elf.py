"""What the dynamic loader reads in a program: its interpreter, and the libraries that it asks for.

Only the file header, the program headers and the dynamic section are read. Source: elf(5) and the
System V gABI, chapters 4 ("ELF Header") and 5 ("Program Header", "Dynamic Section").
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Elf", "read_elf"]

MAGIC = b"\x7fELF"
HEADER_SIZE = 64
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
# A program has a handful of either; more than this is not a program but an attack or an accident.
MOST_SEGMENTS = 1024
LARGEST_TABLE = 16 << 20


@dataclass(frozen=True, slots=True)
class Elf:
    """One program or library.

    Attributes:
        kind: Word size, byte order and processor; a program loads only libraries of its own kind.
        loaded_size: Where in the file the last byte lies that a running program can need. What
            follows (symbol tables, debugging information) is for linkers and debuggers.
    """

    kind: tuple[int, int, int]
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    loaded_size: int


@dataclass(frozen=True, slots=True)
class _Segment:
    type: int
    offset: int
    address: int
    size: int


def read_elf(path: Path) -> Elf | None:
    """Read a program's or library's headers; None if the file is not an ELF file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(HEADER_SIZE)
        if len(header) < 52 or not header.startswith(MAGIC):
            return None
        try:
            return _Reader(file, header).read()
        except (struct.error, ValueError):
            # It begins like an ELF file and is not one: for us, just data.
            return None


class _Reader:
    """Reads one file; `struct.error` and `ValueError` mean that it is not what it says."""

    def __init__(self, file: BinaryIO, header: bytes) -> None:
        self._file = file
        self._header = header
        self._file_size = os.fstat(file.fileno()).st_size
        word, order = header[4], header[5]
        if word not in (1, 2) or order not in (1, 2):
            raise ValueError("unknown word size or byte order")
        self._wide = word == 2
        self._order = "<" if order == 1 else ">"

    def read(self) -> Elf:
        machine = self._unpack("H", self._header[18:20])[0]
        segments = list(self._segments())
        dynamic = self._dynamic(segments)
        strings = self._strings(segments, dynamic)

        def names(tag: int) -> list[str]:
            return [_text(strings, value) for found, value in dynamic if found == tag]

        def folders(tag: int) -> tuple[str, ...]:
            return tuple(part for name in names(tag) for part in name.split(":") if part)

        return Elf(
            kind=(self._header[4], self._header[5], machine),
            interpreter=self._interpreter(segments),
            soname=next(iter(names(DT_SONAME)), None),
            needed=tuple(names(DT_NEEDED)),
            rpath=folders(DT_RPATH),
            runpath=folders(DT_RUNPATH),
            loaded_size=max(
                [self._table_end, *(segment.offset + segment.size for segment in segments)]
            ),
        )

    def _segments(self) -> Iterator[_Segment]:
        if self._wide:
            table = self._unpack("Q", self._header[32:40])[0]
            entry_size, count = self._unpack("HH", self._header[54:58])
        else:
            table = self._unpack("I", self._header[28:32])[0]
            entry_size, count = self._unpack("HH", self._header[42:46])
        if count > MOST_SEGMENTS:
            raise ValueError("too many program headers")
        self._table_end = table + entry_size * count
        content = self._at(table, entry_size * count)
        for start in range(0, entry_size * count, entry_size):
            entry = content[start : start + entry_size]
            if self._wide:
                type_, _, offset, address, _, size = self._unpack("IIQQQQ", entry[:40])
            else:
                type_, offset, address, _, size = self._unpack("IIIII", entry[:20])
            yield _Segment(type_, offset, address, size)

    def _interpreter(self, segments: list[_Segment]) -> str | None:
        for segment in segments:
            if segment.type == PT_INTERP:
                return _text(self._at(segment.offset, segment.size), 0)
        return None

    def _dynamic(self, segments: list[_Segment]) -> list[tuple[int, int]]:
        entries: list[tuple[int, int]] = []
        size = 16 if self._wide else 8
        for segment in segments:
            if segment.type != PT_DYNAMIC:
                continue
            content = self._at(segment.offset, segment.size)
            for start in range(0, len(content) - size + 1, size):
                form = "qQ" if self._wide else "iI"
                tag, value = self._unpack(form, content[start : start + size])
                if tag == DT_NULL:
                    break
                entries.append((tag, value))
        return entries

    def _strings(self, segments: list[_Segment], dynamic: list[tuple[int, int]]) -> bytes:
        values = dict(dynamic)
        if DT_STRTAB not in values:
            return b""
        address = values[DT_STRTAB]
        for segment in segments:
            inside = address - segment.address
            if segment.type == PT_LOAD and 0 <= inside < segment.size:
                return self._at(segment.offset + inside, values.get(DT_STRSZ, 0))
        raise ValueError("the string table lies in no segment")

    def _at(self, offset: int, size: int) -> bytes:
        if size > LARGEST_TABLE or offset + size > self._file_size:
            raise ValueError("a table lies outside the file")
        self._file.seek(offset)
        content = self._file.read(size)
        if len(content) != size:
            raise ValueError("the file ends early")
        return content

    def _unpack(self, form: str, content: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, content)


def _text(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset)
    if end < 0:
        raise ValueError("a string has no end")
    return strings[offset:end].decode("utf-8", "surrogateescape")
