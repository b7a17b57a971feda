"""Pulls, starts and the collector at the same time: what one needs, no other takes away."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cellcrate_runtime.images import Image, ImageNotFoundError, ImageStore, layer_content, removal
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.errors import UnsafeArchiveError
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.unpack import unpack_layer
from images.handmade import AddImage, Entry

PATIENCE = 60.0  # seconds


@pytest.fixture
def image(add_image: AddImage) -> Image:
    return add_image("x", *([Entry(f"file{n}", b"%d" % n)] for n in range(6)))


def test_layers_are_unpacked_together(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    monkeypatch.setattr(layer_content, "_at_once", lambda: 2)

    def unpack(archive: Readable, folder: Path) -> LayerInfo:
        together.wait(PATIENCE)
        return unpack_layer(archive, folder)

    monkeypatch.setattr(layer_content, "unpack_layer", unpack)
    folders = store.lower_dirs(image)
    assert [os.listdir(folder) for folder in folders] == [[f"file{n}"] for n in range(6)][::-1]


def test_one_bad_layer_among_others_is_an_error_and_leaves_nothing_half_done(
    store: ImageStore, add_image: AddImage
) -> None:
    layers = [[Entry(f"file{n}")] for n in range(4)]
    image = add_image("x", *layers, [Entry("../evil")], *[[Entry(f"late{n}")] for n in range(4)])
    with pytest.raises(UnsafeArchiveError):
        store.lower_dirs(image)
    found = os.listdir(store.layers.folder)
    assert {f"sha256:{name}" for name in found} < set(image.diff_ids)


def test_many_ask_for_the_same_layers(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked = []

    def unpack(archive: Readable, folder: Path) -> LayerInfo:
        unpacked.append(folder)
        return unpack_layer(archive, folder)

    monkeypatch.setattr(layer_content, "unpack_layer", unpack)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(ImageStore(store.root).lower_dirs, image) for _ in range(8)]
        found = [future.result(PATIENCE) for future in asked]
    assert len(unpacked) == 6
    assert all(each == found[0] for each in found)


def test_the_collector_leaves_what_is_being_unpacked(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(archive: Readable, folder: Path) -> LayerInfo:
        assert ImageStore(store.root).collect() == 0
        return unpack_layer(archive, folder)

    monkeypatch.setattr(layer_content, "unpack_layer", unpack)
    assert len(store.lower_dirs(image)) == 6


def test_an_image_that_is_removed_while_it_is_unpacked_for_a_container(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.hold("container", image)

    def unpack(archive: Readable, folder: Path) -> LayerInfo:
        other = ImageStore(store.root)
        if other.images():
            other.remove("x", force=True)
        return unpack_layer(archive, folder)

    monkeypatch.setattr(layer_content, "unpack_layer", unpack)
    folders = store.held_dirs("container")
    store.collect()
    assert store.images() == []
    assert [os.listdir(folder) for folder in folders] == [[f"file{n}"] for n in range(6)][::-1]
    store.release("container")
    store.collect()
    assert os.listdir(store.layers.folder) == []


def test_a_hold_that_comes_while_layers_are_collected_is_too_late_or_kept(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector has counted what is needed already: then the image is gone, too."""
    store.lower_dirs(image)
    results: list[object] = []

    def hold() -> None:
        try:
            ImageStore(store.root).hold("container", image)
            results.append("held")
        except ImageNotFoundError as error:
            results.append(error)

    holding = threading.Thread(target=hold)
    remove = store.blobs.remove

    def remove_and_meet_a_start(digest: str) -> int:
        if not holding.ident:
            holding.start()
        return remove(digest)

    monkeypatch.setattr(store.blobs, "remove", remove_and_meet_a_start)
    store.remove("x")
    holding.join(PATIENCE)
    assert isinstance(results[0], ImageNotFoundError)
    assert store.holds.containers() == set()
    assert os.listdir(store.layers.folder) == []


def test_what_is_held_before_is_kept(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is what takes a hold after the name is gone, while the layers are there."""
    folders = store.lower_dirs(image)
    collect = removal.collect

    def collect_after_a_start(of: ImageStore) -> removal.Collected:
        of.hold("late", image)
        return collect(of)

    monkeypatch.setattr(removal, "collect", collect_after_a_start)
    store.remove("x", force=True)
    monkeypatch.undo()
    assert store.held_dirs("late") == folders
    assert all(folder.exists() for folder in folders)
    store.release("late")
    store.collect()
    assert not any(folder.exists() for folder in folders)
