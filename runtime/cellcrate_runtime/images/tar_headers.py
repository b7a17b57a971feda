"""The two kinds of header in a tar archive: blocks of 512 bytes, and PAX's lines of text.

Sources: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; numbers in base
256: GNU tar's manual, "Extensions to Standard Tar"; the rest: tar(5) of FreeBSD.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from cellcrate_runtime.images.errors import InvalidArchiveError

__all__ = [
    "BLOCK",
    "Header",
    "decimal",
    "nanoseconds",
    "parse_header",
    "parse_number",
    "parse_records",
]

BLOCK = 512
_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_CHECKSUM = slice(148, 156)
_USTAR = b"ustar\x0000"  # magic and version; GNU's differ, and its last field is no prefix
_OCTAL = b"01234567"
_DIGITS = b"0123456789"
_NANO = 9  # digits
_SECOND = 10**9  # nanoseconds


class Header(NamedTuple):
    """A block, with names as bytes and times in whole seconds."""

    name: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    kind: bytes
    linkname: bytes
    major: int
    minor: int


def parse_header(block: bytes) -> Header:
    """Read a block.

    Raises:
        InvalidArchiveError: It is none: its checksum is wrong, or something in it is no number.
    """
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _, _, major, minor, prefix = (
        _FIELDS.unpack(block)
    )
    if not _is_sum(block, parse_number(checksum)):
        raise InvalidArchiveError("this is not a tar archive: a header's checksum is wrong.")
    name = _text(name)
    if magic == _USTAR and prefix[0]:
        name = _text(prefix) + b"/" + name
    return Header(
        name,
        _repeated_number(mode),
        _repeated_number(uid),
        _repeated_number(gid),
        parse_number(size),
        parse_number(mtime),
        kind,
        _text(link),
        _repeated_number(major),
        _repeated_number(minor),
    )


def parse_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keywords and values of a PAX header: ``LENGTH KEYWORD=VALUE`` and a newline, each.

    Raises:
        InvalidArchiveError: It is not made of such lines.
    """
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 20)
        length = content[at:space] if space > 0 else b""
        end = at + decimal(length)
        keyword, equals, value = content[space + 1 : end].partition(b"=")
        if end > len(content) or end <= space or not equals or not value.endswith(b"\n"):
            raise InvalidArchiveError("a PAX header of the archive is damaged.")
        yield keyword, value[:-1]
        at = end


def decimal(text: bytes) -> int:
    """A number in a PAX header.

    Raises:
        InvalidArchiveError: It is none, or of more digits than a file system has any use for.
    """
    if not 0 < len(text) <= 20 or text.strip(_DIGITS):
        raise InvalidArchiveError(f"the archive has {text[:20]!r} where a number should be.")
    return int(text)


def nanoseconds(text: bytes) -> int:
    """A time in a PAX header: seconds since 1970, with as many decimal places as its writer liked.

    Raises:
        InvalidArchiveError: It is none.
    """
    seconds, _, fraction = text.removeprefix(b"-").partition(b".")
    if fraction.strip(_DIGITS):
        raise InvalidArchiveError(f"the archive has {text[:40]!r} where a time should be.")
    time = decimal(seconds) * _SECOND + int(fraction[:_NANO].ljust(_NANO, b"0"))
    return -time if text.startswith(b"-") else time


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def parse_number(field: bytes) -> int:
    """Octal digits; or, where the first bit is set, the rest as a number in two's complement."""
    if field[0] & 0x80:
        bits = 8 * len(field) - 1
        value = int.from_bytes(field) & ((1 << bits) - 1)
        return value - (1 << bits) if field[0] & 0x40 else value
    digits = _text(field.lstrip(b" \0")).rstrip(b" ")
    if digits.strip(_OCTAL):
        raise InvalidArchiveError(
            f"this is not a tar archive: it has {digits!r} where a number should be."
        )
    return int(digits, 8) if digits else 0


# Modes, owners and devices: thousands of files have the same.
_repeated_number = functools.lru_cache(256)(parse_number)


def _is_sum(block: bytes, checksum: int) -> bool:
    """The sum of a header's bytes, its own field as spaces; some old programs had signed ones."""
    field = block[_CHECKSUM]
    found = sum(block) - sum(field) + len(field) * ord(" ")
    if found == checksum:
        return True
    negative = sum(byte > 0x7F for byte in block) - sum(byte > 0x7F for byte in field)
    return found - 256 * negative == checksum
