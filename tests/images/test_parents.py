"""Images that were made from others on this machine."""

from __future__ import annotations

import io

import pytest

from cellcrate_runtime.images import Image, ImageConflictError, ImageStore, ImageUse
from cellcrate_runtime.images.documents import History, ImageConfig, RootFS
from cellcrate_runtime.images.references import parse
from images.handmade import Entry, make_archive


def made_from(store: ImageStore, parent: Image | None, name: str | None, step: str) -> Image:
    """Make an image with one more layer than its parent."""
    with store.adding():
        layer = store.add_layer(io.BytesIO(make_archive([Entry(step, step.encode())])))
        config = ImageConfig(
            created="2024-01-02T03:04:05Z",
            architecture="amd64",
            os="linux",
            rootfs=RootFS(diff_ids=[*(parent.diff_ids if parent else []), layer.diff_id]),
            history=[
                *((parent.config.history or []) if parent else []),
                History(created_by=step),
            ],
        )
        return store.add_image(
            config,
            [*(parent.manifest.layers if parent else []), layer.descriptor],
            parse(name).with_default_tag() if name else None,
            parent.id if parent else "",
        )


@pytest.fixture
def chain(store: ImageStore) -> list[Image]:
    """Three images, one made from the other; only the first and the last have names."""
    first = made_from(store, None, "first", "one")
    second = made_from(store, first, None, "two")
    return [first, second, made_from(store, second, "third", "three")]


def test_the_history_names_the_images_on_the_way(store: ImageStore, chain: list[Image]) -> None:
    first, second, third = chain
    assert [image.parent for image in chain] == ["", first.id, second.id]
    steps = [
        (step.step.created_by, step.image_id, step.tags)
        for step in store.history(store.get("third"))
    ]
    assert steps == [
        ("three", third.id, ["third:latest"]),
        ("two", second.id, []),
        ("one", first.id, ["first:latest"]),
    ]


def test_with_the_last_image_those_go_that_were_there_for_it(
    store: ImageStore, chain: list[Image]
) -> None:
    first, second, third = chain
    removed = store.remove("third")
    assert [r.untagged for r in removed if r.untagged] == ["third:latest"]
    deleted = [r.deleted for r in removed]
    assert third.id in deleted
    assert second.id in deleted
    assert [image.id for image in store.images()] == [first.id]
    assert sorted(store.notes.children(first.id)) == []


def test_they_stay_if_asked_for(store: ImageStore, chain: list[Image]) -> None:
    store.remove("third", keep_parents=True)
    assert {image.id for image in store.images()} == {chain[0].id, chain[1].id}


def test_they_stay_for_a_container(store: ImageStore, chain: list[Image]) -> None:
    store.remove("third", uses=[ImageUse("c" * 64, chain[1].id, running=False)])
    assert {image.id for image in store.images()} == {chain[0].id, chain[1].id}


def test_what_others_were_made_from_only_loses_its_name(
    store: ImageStore, chain: list[Image]
) -> None:
    removed = store.remove("first")
    assert [(r.untagged, r.deleted) for r in removed] == [("first:latest", None)]
    with pytest.raises(ImageConflictError, match="dependent child images"):
        store.remove(chain[0].id, force=True)
    # The last takes them all with it.
    store.remove("third")
    assert store.images() == []
    assert store.blobs.all() == []


def test_a_name_is_dated(store: ImageStore, chain: list[Image]) -> None:
    assert chain[1].tagged == 0
    before = store.get("third").tagged
    assert before
    store.tag("third", "other")
    assert store.get("third").tagged > before
