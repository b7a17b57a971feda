"""A layer that a crash may have left in part is unpacked again; no other is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cellcrate_runtime.images import Image, ImageStore
from cellcrate_runtime.images.settling import MARK
from images.handmade import AddImage, Entry


@pytest.fixture
def image(add_image: AddImage) -> Image:
    return add_image("x", [Entry("file", b"content")])


def layer_of(store: ImageStore, image: Image) -> Path:
    return store.lower_dirs(image)[0].parent


def settled(layer: Path) -> bool:
    deadline = time.monotonic() + 30
    while (layer / MARK).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not (layer / MARK).exists()


def test_the_mark_goes_in_the_background(store: ImageStore, image: Image) -> None:
    assert settled(layer_of(store, image))


def test_a_layer_of_an_earlier_boot_is_unpacked_again(store: ImageStore, image: Image) -> None:
    layer = layer_of(store, image)
    assert settled(layer)
    (layer / MARK).write_text("0b7c2f8e-0000-0000-0000-000000000000\n")
    (layer / "fs/file").write_bytes(b"")  # as a crash leaves files that were not flushed
    assert ImageStore(store.root).lower_dirs(image)[0].joinpath("file").read_bytes() == b"content"
    assert settled(layer)


def test_a_settled_layer_is_left_alone(store: ImageStore, image: Image) -> None:
    layer = layer_of(store, image)
    assert settled(layer)
    before = layer.stat().st_ino
    assert layer_of(ImageStore(store.root), image).stat().st_ino == before
