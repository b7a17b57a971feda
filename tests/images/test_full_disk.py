"""A full disk is said to be one, and nothing half-done stays."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore, StoreFullError
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.linux.idmap import IDRange
from images.handmade import AddImage, Entry
from images.misbehaving import Handmade, Misbehaving

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="A small disk is mounted, which takes root."),
]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ImageStore]:
    """A store on a disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        yield ImageStore(disk / "images")
    finally:
        subprocess.run(["umount", disk], check=True)


def left_in(store: ImageStore) -> list[str]:
    return os.listdir(store.root / "layers") + os.listdir(store.root / "blobs/sha256")


def test_packing(small: ImageStore) -> None:
    with pytest.raises(StoreFullError, match="no room left"):
        small.ensure_base()
    assert left_in(small) == []


def test_loading(small: ImageStore, store: ImageStore, add_image: AddImage) -> None:
    add_image("x", [Entry("file", os.urandom(2_000_000))])
    archive = io.BytesIO()
    store.save(["x"], archive)
    archive.seek(0)
    with pytest.raises(StoreFullError, match="no room left"):
        small.load(archive)
    assert left_in(small) == []


def test_pulling(small: ImageStore) -> None:
    image = Handmade.of([Entry("file", os.urandom(2_000_000))])
    with (
        Misbehaving(image).running() as registry,
        pytest.raises(StoreFullError, match="no room left"),
    ):
        pull(small, parse(f"{registry.address}/x:1"), RegistrySettings())
    assert left_in(small) == []
    assert os.listdir(small.root / "downloads") == []


def test_pulling_what_fits_packed_alone(small: ImageStore) -> None:
    image = Handmade.of([Entry("file", bytes(2_000_000))])
    with (
        Misbehaving(image).running() as registry,
        pytest.raises(StoreFullError, match="no room left"),
    ):
        pull(small, parse(f"{registry.address}/x:1"), RegistrySettings())
    assert left_in(small) == []
    assert small.images() == []


def test_unpacking(small: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", [Entry("file", bytes(2_000_000))], into=small)
    with pytest.raises(StoreFullError, match="no room left"):
        small.lower_dirs(image)
    assert os.listdir(small.root / "layers") == []
    assert small.get("x") == image


def test_copying_for_other_owners(small: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", [Entry("file", bytes(700_000))], into=small)
    small.hold("holder", image)
    (layer,) = small.held_dirs("holder")
    with pytest.raises(StoreFullError, match="no room left"):
        small.held_dirs("holder", IDRange(0, 1_000_000, 65536))
    assert os.listdir(layer.parent.parent) == [layer.parent.name]
    assert not list(layer.parent.glob("shifted-*"))
    assert small.held_dirs("holder") == [layer]
