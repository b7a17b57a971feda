"""Archives that are small and unpack to more than a disk has are stopped on the way."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageError, ImageStore, LayerTooLargeError, StoreFullError
from cellcrate_runtime.images.digests import digest_of
from cellcrate_runtime.images.layer_content import unpack_blob
from cellcrate_runtime.images.unpack import unpack_layer
from images.handmade import AddImage, Entry
from images.tar_bytes import END, block, pax

MB = 1 << 20
BOMB = 2000 * MB


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def limit(most: int) -> None:
        monkeypatch.setenv("CELLCRATE_LAYER_MAX_BYTES", str(most))

    return limit


def bomb(head: bytes) -> bytes:
    """Gzip of a beginning and of gigabytes of zeros, in members that are the same."""
    return gzip.compress(head) + gzip.compress(bytes(100 * MB), 9) * (BOMB // (100 * MB))


@pytest.mark.parametrize(
    "head",
    [
        block(b"file", size=BOMB),
        block(b"file") + END,  # what comes after the end
        block(b"odd", b"Z", size=BOMB),  # what is left out
        block(b"hard link", b"x", size=1 << 20),
    ],
    ids=["content", "after the end", "left out", "a header"],
)
def test_a_bomb_is_stopped(store: ImageStore, limited: Callable[[int], None], head: bytes) -> None:
    limited(50 * MB)
    packed = bomb(head)
    assert len(packed) < 3 * MB
    blob = store.blobs.add(packed)
    tracemalloc.start()
    try:
        with store.layers.building() as folder, pytest.raises(ImageError):
            unpack_blob(store.blobs, blob, digest_of(b""), folder / "fs")
        assert tracemalloc.get_traced_memory()[1] < 30 * MB
    finally:
        tracemalloc.stop()
    assert os.listdir(store.layers.folder) == []


def test_the_limit_is_told_with_what_raises_it(
    store: ImageStore, add_image: AddImage, limited: Callable[[int], None]
) -> None:
    image = add_image("x", [Entry("file", bytes(MB))])
    limited(MB)
    with pytest.raises(LayerTooLargeError, match=r"1048576 bytes.*CELLCRATE_LAYER_MAX_BYTES"):
        store.lower_dirs(image)
    assert os.listdir(store.layers.folder) == []
    limited(2 * MB)
    assert len(store.lower_dirs(image)) == 1


def test_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCRATE_LAYER_MAX_ENTRIES", "10")
    archive = b"".join(block(b"f%d" % n) for n in range(11)) + END
    with pytest.raises(LayerTooLargeError, match=r"10 files.*CELLCRATE_LAYER_MAX_ENTRIES"):
        unpack_layer(io.BytesIO(archive), tmp_path)


def test_a_limit_that_is_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLCRATE_LAYER_MAX_ENTRIES", "many")
    with pytest.raises(ImageError, match='MAX_ENTRIES is "many"'):
        unpack_layer(io.BytesIO(END), tmp_path)


def test_a_file_that_is_almost_all_hole_is_no_bomb(
    tmp_path: Path, limited: Callable[[int], None]
) -> None:
    limited(MB)
    records = [(b"GNU.sparse.map", b""), (b"GNU.sparse.size", b"%d" % BOMB)]
    unpack_layer(io.BytesIO(pax(records) + block(b"x") + END), tmp_path)
    assert (tmp_path / "x").stat().st_size == BOMB
    assert (tmp_path / "x").stat().st_blocks == 0


# -- a disk that is small ------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small disk with these options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="A small disk is mounted.")


@pytest.mark.root
@ROOT_ONLY
def test_something_is_left_of_a_disk(disk: Callable[[str], Path]) -> None:
    small = ImageStore(disk("size=200m") / "images")
    blob = small.blobs.add(bomb(block(b"file", size=BOMB)))
    left = []

    def unpack() -> None:
        with small.layers.building() as folder:
            try:
                unpack_blob(small.blobs, blob, digest_of(b""), folder / "fs")
            finally:
                left.append(os.statvfs(small.root).f_bavail)

    with pytest.raises(StoreFullError, match="no room left"):
        unpack()
    assert left[0] > 0
    assert os.listdir(small.layers.folder) == []


@pytest.mark.root
@ROOT_ONLY
def test_no_inode_is_left(disk: Callable[[str], Path], add_image: AddImage) -> None:
    small = ImageStore(disk("size=50m,nr_inodes=300") / "images")
    image = add_image("x", [Entry(f"file{n}") for n in range(500)], into=small)
    with pytest.raises(StoreFullError, match="no inode"):
        small.lower_dirs(image)
    assert os.listdir(small.layers.folder) == []
