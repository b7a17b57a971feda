"""Removing images follows docker rmi, and what containers need stays."""

from __future__ import annotations

import hashlib
import os

import pytest

from cellcrate_runtime.images import (
    Image,
    ImageConflictError,
    ImageNotFoundError,
    ImageStore,
    ImageUse,
    Removal,
)
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.removal import chain_ids
from images.handmade import AddImage, Entry

ONE = [Entry("one", b"1" * 100)]
TWO = [Entry("two", b"2" * 1000)]
CONTAINER = "c0ffee" * 10 + "c0ff"


def words(removals: list[Removal]) -> list[str]:
    return [f"untagged {r.untagged}" if r.untagged else f"deleted {r.deleted}" for r in removals]


def is_empty(store: ImageStore) -> bool:
    return not os.listdir(store.root / "blobs/sha256") and not os.listdir(store.root / "layers")


def test_the_last_name_takes_the_image_with_it(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE, TWO)
    store.lower_dirs(image)
    lower, upper = chain_ids(image.diff_ids)
    assert words(store.remove("x")) == [
        "untagged x:latest",
        f"deleted {image.id}",
        f"deleted {upper}",
        f"deleted {lower}",
    ]
    assert is_empty(store)
    with pytest.raises(ImageNotFoundError):
        store.get(image.id)


def test_chain_ids_are_those_of_the_specification() -> None:
    a, b, c = ("sha256:" + digit * 64 for digit in "abc")
    ab = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    abc = "sha256:" + hashlib.sha256(f"{ab} {c}".encode()).hexdigest()
    assert chain_ids([a, b, c]) == [a, ab, abc]


def test_a_name_of_several_is_only_taken_away(store: ImageStore, add_image: AddImage) -> None:
    add_image("x", ONE)
    store.tag("x", "y:1")
    assert words(store.remove("y:1")) == ["untagged y:1"]
    assert store.get("x").repo_tags == ["x:latest"]


def test_an_id_takes_its_only_name(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE)
    assert words(store.remove(image.short_id))[:2] == ["untagged x:latest", f"deleted {image.id}"]
    assert is_empty(store)


def test_an_id_with_several_names_must_be_forced(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE)
    store.tag("x", "y")
    with pytest.raises(ImageConflictError, match=r"must be forced.*multiple repositories"):
        store.remove(image.id)
    assert words(store.remove(image.id, force=True))[:3] == [
        "untagged x:latest",
        "untagged y:latest",
        f"deleted {image.id}",
    ]
    assert is_empty(store)


def test_names_by_digest_go_with_the_last_tag(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x:1", ONE)
    by_digest = Reference("docker.io", "library/x", digest=image.manifest_digest)
    store.name(image.manifest_digest, by_digest)
    assert store.get(by_digest.familiar).repo_digests == [by_digest.familiar]
    assert store.get(f"x:anything@{image.manifest_digest}").id == image.id
    assert words(store.remove("x:1"))[:2] == ["untagged x:1", f"untagged {by_digest.familiar}"]
    assert is_empty(store)


def test_a_nameless_image_goes_by_its_id(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE)
    add_image("x", TWO)
    assert store.get(image.id).repo_tags == []
    assert words(store.remove(image.id))[0] == f"deleted {image.id}"
    assert [i.repo_tags for i in store.images()] == [["x:latest"]]


def test_what_other_images_share_stays(store: ImageStore, add_image: AddImage) -> None:
    one, both = add_image("one", ONE), add_image("both", ONE, TWO)
    store.lower_dirs(both)
    chain = chain_ids(both.diff_ids)
    assert words(store.remove("both")) == [
        "untagged both:latest",
        f"deleted {both.id}",
        f"deleted {chain[1]}",
    ]
    assert store.lower_dirs(one)[0].exists()


@pytest.mark.parametrize("by_id", [False, True])
def test_a_stopped_container_asks_for_force(
    store: ImageStore, add_image: AddImage, by_id: bool
) -> None:
    image = add_image("x", ONE)
    folders = store.lower_dirs(image)
    store.hold(CONTAINER, image)
    name = image.id if by_id else "x"
    with pytest.raises(ImageConflictError, match=r"c0ffeec0ffee"):
        store.remove(name)
    assert store.get("x").id == image.id
    assert f"deleted {image.id}" in words(store.remove(name, force=True))
    # The container can still be started: its layers are there until it goes.
    store.collect()
    assert folders[0].exists()
    assert store.held_dirs(CONTAINER) == folders
    store.release(CONTAINER)
    store.collect()
    assert is_empty(store)


def test_a_container_without_a_hold_says_so(store: ImageStore) -> None:
    with pytest.raises(ImageNotFoundError, match="holds no image"):
        store.held_dirs(CONTAINER)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".x", "x\0"])
def test_only_ids_hold(store: ImageStore, add_image: AddImage, name: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        store.hold(name, add_image("x", ONE))


def test_layers_of_a_container_that_were_lost_come_back(
    store: ImageStore, add_image: AddImage
) -> None:
    image = add_image("x", ONE, TWO)
    store.hold(CONTAINER, image)
    folders = store.held_dirs(CONTAINER)
    store.layers.remove(image.diff_ids[0])
    assert store.held_dirs(CONTAINER) == folders
    assert [os.listdir(path) for path in folders] == [["two"], ["one"]]


def test_a_running_container_keeps_its_image(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE)
    uses = [ImageUse(CONTAINER, image.id, running=True)]
    with pytest.raises(ImageConflictError, match="must force"):
        store.remove("x", uses=uses)
    with pytest.raises(ImageConflictError, match="cannot be forced"):
        store.remove(image.id, force=True, uses=uses)
    assert words(store.remove("x", force=True, uses=uses)) == ["untagged x:latest"]
    assert store.get(image.id).repo_tags == []


def test_uses_of_other_images_do_not_matter(store: ImageStore, add_image: AddImage) -> None:
    add_image("x", ONE)
    other: Image = add_image("y", TWO)
    assert store.remove("x", uses=[ImageUse(CONTAINER, other.id, running=True)])


def test_nothing_is_collected_while_somebody_adds(store: ImageStore, add_image: AddImage) -> None:
    with store.adding():
        blob = store.blobs.add(b"to be named soon")
        assert store.collect() == 0
        assert ImageStore(store.root).collect() == 0
        assert store.blobs.has(blob)
    assert store.collect() == len(b"to be named soon")
    assert not store.blobs.has(blob)


def test_a_failed_removal_changes_nothing(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE)
    for name in ("y", "0" * 12):
        with pytest.raises(ImageNotFoundError):
            store.remove(name, force=True)
    assert store.get("x") == image
    assert parse("x").with_default_tag() in image.references


def test_layers_of_closed_folders_are_removed_whole(store: ImageStore, add_image: AddImage) -> None:
    import tarfile

    closed = Entry("closed", type=tarfile.DIRTYPE, mode=0o000)
    inner = Entry("closed/inner", type=tarfile.DIRTYPE, mode=0o555)
    image = add_image("x", [closed, inner, Entry("closed/inner/file", b"1", mode=0o000)])
    store.lower_dirs(image)
    store.remove("x")
    assert is_empty(store)
