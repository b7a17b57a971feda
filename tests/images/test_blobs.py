"""Blobs have the digest that they go by, or are not there."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cellcrate_runtime.images import (
    CorruptContentError,
    ImageNotFoundError,
    InvalidArchiveError,
)
from cellcrate_runtime.images.blobs import BlobStore
from images.handmade import digest


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path)


def test_content_comes_back(blobs: BlobStore) -> None:
    content = os.urandom(3 << 20)
    name = blobs.ingest(io.BytesIO(content), digest(content))
    assert name == digest(content)
    with blobs.reading(name) as reader:
        assert reader.readall() == content
    assert blobs.all() == [name]


def test_wrong_content_is_refused_and_leaves_nothing(blobs: BlobStore) -> None:
    with pytest.raises(CorruptContentError, match="damaged on the way"):
        blobs.ingest(io.BytesIO(b"other"), digest(b"wanted"))
    assert os.listdir(blobs.folder) == []


def test_a_source_that_fails_leaves_nothing(blobs: BlobStore) -> None:
    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.ingest(Failing())
    assert os.listdir(blobs.folder) == []


@pytest.mark.parametrize("change", [b"", b"hellO", b"hello and more"])
def test_a_blob_changed_on_disk_is_noticed(blobs: BlobStore, change: bytes) -> None:
    name = blobs.add(b"hello")
    blobs.path(name).write_bytes(change)
    with pytest.raises(CorruptContentError, match="damaged"):
        blobs.read(name)


def test_a_missing_blob_says_what_to_do(blobs: BlobStore) -> None:
    with pytest.raises(ImageNotFoundError, match="load, pull or pack it again"):
        blobs.read(digest(b"never stored"))


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "sha512:" + "0" * 128, "x", ""])
def test_only_digests_are_names(blobs: BlobStore, name: str) -> None:
    with pytest.raises(InvalidArchiveError, match="digest"):
        blobs.path(name)


def test_many_may_store_the_same_at_once(blobs: BlobStore) -> None:
    content = os.urandom(1 << 20)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: blobs.ingest(io.BytesIO(content)), range(16)))
    assert set(names) == {digest(content)}
    assert blobs.read(names[0]) == content
    assert blobs.all() == [names[0]]


def test_what_a_crash_left_is_removed(blobs: BlobStore) -> None:
    kept = blobs.add(b"kept")
    (blobs.folder / ".ingest-crashed").write_bytes(b"half")
    blobs.remove_unfinished()
    assert os.listdir(blobs.folder) == [kept.removeprefix("sha256:")]
