"""Layers and images that are made here."""

from __future__ import annotations

import io
import os

import pytest

from cellcrate_runtime.images import ImageStore, InvalidArchiveError, UnsafeArchiveError
from cellcrate_runtime.images.documents import (
    Execution,
    History,
    ImageConfig,
    MediaType,
    RootFS,
)
from cellcrate_runtime.images.references import parse
from images.handmade import Entry, digest, make_archive

LAYER = make_archive([Entry("hello", b"content", mode=0o600)])


def config_of(*diff_ids: str) -> ImageConfig:
    return ImageConfig(
        created="2024-01-02T03:04:05Z",
        architecture="amd64",
        os="linux",
        config=Execution(cmd=["/hello"]),
        rootfs=RootFS(diff_ids=list(diff_ids)),
        history=[History(created_by="by hand")],
    )


def test_a_layer_is_a_blob_and_a_folder(store: ImageStore) -> None:
    with store.adding():
        layer = store.add_layer(io.BytesIO(LAYER))
    assert layer.diff_id == layer.descriptor.digest == digest(LAYER)
    assert layer.descriptor.media_type == MediaType.LAYER
    assert layer.descriptor.size == len(LAYER)
    assert store.blobs.read(layer.diff_id) == LAYER
    assert (store.layers.path(layer.diff_id) / "hello").read_bytes() == b"content"
    info = store.layers.info(layer.diff_id)
    assert info is not None
    assert info.size == 7


def test_what_is_behind_an_archives_end_is_part_of_the_blob(store: ImageStore) -> None:
    padded = LAYER + bytes(1 << 20)
    assert store.add_layer(io.BytesIO(padded)).diff_id == digest(padded)


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        (b"no archive at all" * 100, InvalidArchiveError),
        (LAYER[:700], InvalidArchiveError),
        (make_archive([Entry("../outside")]), UnsafeArchiveError),
    ],
)
def test_a_bad_archive_leaves_nothing(
    store: ImageStore, archive: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error), store.adding():
        store.add_layer(io.BytesIO(archive))
    assert os.listdir(store.blobs.folder) == os.listdir(store.layers.folder) == []


def test_an_image_of_layers(store: ImageStore) -> None:
    name = parse("made:here")
    with store.adding():
        layer = store.add_layer(io.BytesIO(LAYER))
        image = store.add_image(config_of(layer.diff_id), [layer.descriptor], name)
    assert image == store.get("made:here")
    assert image.references == (name,)
    assert image.config.execution.cmd == ["/hello"]
    assert image.size == 7
    assert store.collect() == 0
    again = store.add_image(config_of(layer.diff_id), [layer.descriptor])
    assert again.id == image.id
    assert again.manifest_digest == image.manifest_digest


def test_an_image_may_have_no_layers(store: ImageStore) -> None:
    image = store.add_image(config_of(), [])
    assert image.references == ()
    assert image.size == 0


def test_a_configuration_must_name_the_layers(store: ImageStore) -> None:
    layer = store.add_layer(io.BytesIO(LAYER))
    with pytest.raises(ValueError, match="different layers"):
        store.add_image(config_of(), [layer.descriptor])
    assert store.images() == []
