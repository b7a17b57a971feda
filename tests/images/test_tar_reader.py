"""Tar archives of every dialect are read as their writers meant them, and nothing else is read."""

from __future__ import annotations

import io
import os
import tracemalloc

import pytest

from cellcrate_runtime.images import InvalidArchiveError
from cellcrate_runtime.images.tar_reader import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    LINK,
    read_tar,
)
from images.tar_bytes import END, block, entry, padded, pax, read

pytestmark = pytest.mark.once

LONG = b"/".join(b"%03d" % n for n in range(200))  # no field of a header holds it


def test_kinds() -> None:
    kinds = [FILE, HARD_LINK, LINK, CHARACTER_DEVICE, BLOCK_DEVICE, FOLDER, FIFO]
    archive = b"".join(block(b"x", kind) for kind in kinds) + END
    assert [found.kind for found, _ in read(archive)] == kinds
    old = block(b"old/", b"\0") + block(b"old", b"\0") + block(b"contiguous", b"7") + END
    assert [found.kind for found, _ in read(old)] == [FOLDER, FILE, FILE]


def test_names() -> None:
    archive = (
        entry(b"file", b"1", prefix=b"a/b")
        + entry(b"gnu", b"2", magic=b"ustar  \0", prefix=b"12345")  # a time, to GNU tar
        + block(b"long", b"L", size=len(LONG) + 1)
        + padded(LONG + b"\0")
        + block(b"link", b"K", size=len(LONG) + 1)
        + padded(LONG + b"\0")
        + block(b"cut off", LINK, linkname=b"cut off")
        + pax([(b"path", LONG), (b"linkpath", b"\xff")])
        + block(b"cut off", LINK)
        + entry(b"\xe9t\xe9", b"3")
        + END
    )
    found = [(item.name, item.linkname) for item, _ in read(archive)]
    long = LONG.decode()
    assert found == [
        ("a/b/file", ""),
        ("gnu", ""),
        (long, long),
        (long, "\udcff"),
        (os.fsdecode(b"\xe9t\xe9"), ""),
    ]


def test_numbers() -> None:
    def large(value: int, width: int) -> bytes:
        return (value + (1 << (8 * width))).to_bytes(width + 1)[1:] if value < 0 else (
            value | 1 << (8 * width - 1)
        ).to_bytes(width)  # fmt: skip

    (found, _), (spaced, content) = read(
        block(b"x", FOLDER, uid=large(3_000_000_000, 8), mtime=large(-5, 12))
        + entry(b"y", b"12345678", size=b"         10 ", uid=b"   7 \0")
        + END
    )
    assert (found.uid, found.mtime) == (3_000_000_000, -5_000_000_000)
    assert (spaced.uid, content) == (7, b"12345678")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"1700000000.123456789", 1700000000_123456789),
        (b"1700000000.1", 1700000000_100000000),
        (b"1700000000.9999999999", 1700000000_999999999),
        (b"-1.5", -1_500000000),
        (b"0", 0),
    ],
)
def test_times_are_exact(text: bytes, nanoseconds: int) -> None:
    ((found, _),) = read(pax([(b"mtime", text)]) + block(b"x", mtime=7) + END)
    assert found.mtime == nanoseconds


def test_extended_attributes_are_bytes() -> None:
    value = bytes(range(256))
    records = [(b"SCHILY.xattr.user.a=b", b"cut"), (b"SCHILY.xattr.security.capability", value)]
    ((found, _),) = read(pax(records) + block(b"x") + END)
    assert found.xattrs == {"user.a": b"b=cut", "security.capability": value}


def test_a_header_is_for_one_entry_and_an_empty_value_for_none() -> None:
    archive = (
        pax([(b"path", b"other"), (b"uid", b"5")], b"g")
        + pax([(b"path", b"this"), (b"uid", b"")])
        + block(b"x", uid=3)
        + block(b"y")
        + END
    )
    assert [(found.name, found.uid) for found, _ in read(archive)] == [("this", 3), ("y", 0)]


def test_what_has_no_content_is_followed_by_the_next_header() -> None:
    archive = block(b"x", HARD_LINK, size=5, linkname=b"y") + entry(b"y", b"content") + END
    assert [content for _, content in read(archive)] == [b"", b"content"]


def test_content_that_nobody_reads_is_left_out() -> None:
    archive = entry(b"x", os.urandom(1_000_000)) + entry(b"y", b"content") + END
    assert [found.name for found, _ in read_tar(io.BytesIO(archive))] == ["x", "y"]


@pytest.mark.parametrize("end", [b"", bytes(512), END, END + b"whatever"])
def test_ends(end: bytes) -> None:
    assert [content for _, content in read(entry(b"x", b"1") + end)] == [b"1"]
    assert read(end) == []


def test_a_checksum_of_signed_bytes() -> None:
    ((found, _),) = read(block(b"\xe9", signed=True) + END)
    assert found.name == os.fsdecode(b"\xe9")


NO_HEADER = bytearray(block(b"x"))
NO_HEADER[0] ^= 1


@pytest.mark.parametrize(
    "archive",
    [
        bytes(NO_HEADER),
        b"short",
        block(b"x", size=b"12_4\0"),
        block(b"x", size=b"-1\0"),
        block(b"x", size=b"\xff" * 12),
        block(b"x", uid=b"0o17\0"),
        bytes(512) + block(b"x"),
        entry(b"x", b"1" * 600)[:-512],
        block(b"x") + b"part of a block",
        block(b"x", b"x", size=5) + padded(b"hello") + block(b"y"),
        block(b"x", b"x", size=8) + padded(b"99 a=bc\n") + block(b"y"),
        block(b"x", b"x", size=6) + padded(b"0 a=b\n") + block(b"y"),
        block(b"x", b"x", size=9) + padded(b"9 a=bc\nxx") + block(b"y"),
        pax([(b"size", b"-1")]) + block(b"y"),
        pax([(b"size", b"9" * 30)]) + block(b"y"),
        pax([(b"mtime", b"1.2.3")]) + block(b"y"),
        pax([(b"uid", b"0x1")]) + block(b"y"),
    ],
)
def test_what_is_damaged_is_refused(archive: bytes) -> None:
    with pytest.raises(InvalidArchiveError):
        read(archive)


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_a_header_of_gigabytes_is_not_read(kind: bytes) -> None:
    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(size) or bytes(size or 0)

    tracemalloc.start()
    try:
        with pytest.raises(InvalidArchiveError, match="header of"):
            list(read_tar(Endless(block(b"x", kind, size=4 << 30))))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
