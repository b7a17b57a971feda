"""Tar archives written byte by byte: what tarfile does not write, and what nobody should."""

from __future__ import annotations

import io
from collections.abc import Mapping

from cellcrate_runtime.images.tar_reader import Entry, read_tar

__all__ = ["END", "block", "entry", "padded", "pax", "read"]

BLOCK = 512
END = bytes(2 * BLOCK)


def padded(content: bytes) -> bytes:
    """Content, filled up to whole blocks."""
    return content + bytes(-len(content) % BLOCK)


def block(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    mtime: int | bytes = 0,
    uid: int | bytes = 0,
    linkname: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    signed: bool = False,
    tail: Mapping[int, bytes] | None = None,
) -> bytes:
    """A header; numbers may be given as the bytes of their fields, and ``tail`` bytes by offset."""
    header = bytearray(BLOCK)

    def put(at: int, value: int | bytes, width: int) -> None:
        text = value if isinstance(value, bytes) else b"%0*o\0" % (width - 1, value)
        header[at : at + len(text)] = text

    put(0, name, 100)
    put(100, 0o644, 8)
    put(108, uid, 8)
    put(116, 0, 8)
    put(124, size, 12)
    put(136, mtime, 12)
    put(148, b" " * 8, 8)
    put(156, kind, 1)
    put(157, linkname, 100)
    put(257, magic, 8)
    put(345, prefix, 155)
    for at, value in (tail or {}).items():
        put(at, value, len(value))
    total = sum(header) - (256 * sum(byte > 127 for byte in header) if signed else 0)
    put(148, b"%06o\0 " % total, 8)
    return bytes(header)


def entry(name: bytes, content: bytes = b"", **fields: object) -> bytes:
    """A file with its content."""
    fields.setdefault("size", len(content))
    return block(name, **fields) + padded(content)  # type: ignore[arg-type]


def pax(records: list[tuple[bytes, bytes]], kind: bytes = b"x") -> bytes:
    """A PAX header."""
    text = b""
    for keyword, value in records:
        rest = len(keyword) + len(value) + 3
        length = rest + len(str(rest + len(str(rest))))
        text += b"%d %s=%s\n" % (length, keyword, value)
    return block(b"pax", kind, size=len(text)) + padded(text)


def read(archive: bytes) -> list[tuple[Entry, bytes]]:
    """All entries of an archive with what is stored of their content."""
    return [
        (found, b"".join(bytes(piece) for piece in found.pieces(stream)))
        for found, stream in read_tar(io.BytesIO(archive))
    ]
