"""Files with holes, in each of the four ways that GNU tar has written them."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageError, InvalidArchiveError
from cellcrate_runtime.images.tar_sparse import MOST_EXTENTS
from cellcrate_runtime.images.unpack import unpack_layer
from images.tar_bytes import END, block, entry, padded, pax, read

WAYS = {
    "old": ["--format=gnu"],
    "0.0": ["--format=pax", "--sparse-version=0.0"],
    "0.1": ["--format=pax", "--sparse-version=0.1"],
    "1.0": ["--format=pax", "--sparse-version=1.0"],
}
SIZE = 64 << 20


@pytest.fixture
def holes(tmp_path: Path) -> Path:
    """A folder with a file of many holes, one of nothing but a hole, and one with content last."""
    folder = tmp_path / "holes"
    folder.mkdir()
    with (folder / "many").open("wb") as file:
        for n in range(60):  # more than fit in a header of the old way
            file.seek(n << 20)
            file.write(b"%d" % n * 3000)
        file.truncate(SIZE)
    with (folder / "nothing").open("wb") as file:
        file.truncate(SIZE)
    with (folder / "end").open("wb") as file:
        file.seek(SIZE - 5)
        file.write(b"hello")
    (folder / "ordinary").write_bytes(b"x" * 1000)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_holes_stay_holes(tmp_path: Path, holes: Path, way: str) -> None:
    command = ["tar", "--create", "--sparse", *WAYS[way], "--directory", holes, "."]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(archive) < SIZE // 2
    (tmp_path / "fs").mkdir()
    info = unpack_layer(io.BytesIO(archive), tmp_path / "fs")
    for name in os.listdir(holes):
        before, after = holes / name, tmp_path / "fs" / name
        assert after.stat().st_size == before.stat().st_size
        assert after.stat().st_blocks <= before.stat().st_blocks + 16
        subprocess.run(["cmp", before, after], check=True)
    assert info.size < SIZE // 2  # what it takes


def old(real: bytes, *pairs: tuple[int, int]) -> dict[int, bytes]:
    """The fields of an old header."""
    fields = {386 + 24 * n: b"%011o\0%011o\0" % pair for n, pair in enumerate(pairs)}
    return {**fields, 483: real}


@pytest.mark.parametrize(
    "pairs",
    [
        [(0, 5), (3, 2)],
        [(5, 1), (0, 6)],
        [(0, 4)],
        [(0, 8)],
        [(4, 7)],
        [(1 << 33, 7)],
    ],
)
def test_pieces_that_do_not_fit_are_refused(pairs: list[tuple[int, int]]) -> None:
    header = block(b"x", b"S", size=7, magic=b"ustar  \0", tail=old(b"%011o\0" % 10, *pairs))
    with pytest.raises(InvalidArchiveError, match="pieces do not fit"):
        read(header + padded(b"1234567") + END)


@pytest.mark.parametrize(
    "archive",
    [
        pax([(b"GNU.sparse.map", b"1,2,3"), (b"GNU.sparse.size", b"10")]) + entry(b"x", b"12"),
        pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10")])
        + entry(b"x", padded(b"999999999\n")),
        pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10")])
        + entry(b"x", b"2\n" + b"1" * 5000),
        pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.realsize", b"10")])
        + entry(b"x", padded(b"1\n0\n5\n")),
        pax([(b"GNU.sparse.map", b"0,1," * MOST_EXTENTS + b"0,1")]) + entry(b"x", b"1"),
    ],
)
def test_a_bad_map_is_refused(archive: bytes) -> None:
    with pytest.raises(InvalidArchiveError):
        read(archive + END)


@pytest.mark.parametrize("size", [1 << 63, 1 << 66])
def test_a_file_of_exabytes_is_an_error(tmp_path: Path, size: int) -> None:
    records = [(b"GNU.sparse.map", b""), (b"GNU.sparse.size", b"%d" % size)]
    with pytest.raises(ImageError):
        unpack_layer(io.BytesIO(pax(records) + block(b"x") + END), tmp_path)
