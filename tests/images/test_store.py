"""Finding, naming and measuring images."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest

from cellcrate_runtime.images import (
    AmbiguousImageError,
    CorruptContentError,
    Execution,
    ImageNotFoundError,
    ImageStore,
    InvalidReferenceError,
)
from images.handmade import AddImage, Entry, digest

ONE = [Entry("one", b"1" * 100)]
TWO = [Entry("two", b"2" * 1000)]


def test_an_image_is_found_by_its_names_and_its_id(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("quay.io/x/one:v1", ONE)
    digits = image.id.removeprefix("sha256:")
    for name in ("quay.io/x/one:v1", image.id, digits, digits[:12], f"sha256:{digits[:7]}"):
        assert store.get(name).id == image.id


@pytest.mark.parametrize("name", ["one:v2", "two", "library/two:v1", "abcdef", "sha256:123456"])
def test_what_is_not_there_is_not_found(store: ImageStore, add_image: AddImage, name: str) -> None:
    add_image("one:v1", ONE)
    with pytest.raises(ImageNotFoundError, match="No such image"):
        store.get(name)


@pytest.mark.parametrize("name", ["", "Not Good", "x::y"])
def test_what_cannot_be_a_name_is_no_missing_image(store: ImageStore, name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        store.get(name)


def test_a_name_counts_more_than_an_id(store: ImageStore, add_image: AddImage) -> None:
    one = add_image("one", ONE)
    beginning = one.id.removeprefix("sha256:")[:6]
    two = add_image(beginning, TWO)
    assert store.get(beginning).id == two.id
    assert store.get(beginning + one.id.removeprefix("sha256:")[6]).id == one.id


def test_the_beginning_of_several_ids_is_refused(store: ImageStore, add_image: AddImage) -> None:
    images = [add_image(f"i{n}", ONE, created=f"2024-01-02T03:04:{n:02}Z") for n in range(20)]
    firsts = [image.id.removeprefix("sha256:")[0] for image in images]
    common = max(firsts, key=firsts.count)
    assert firsts.count(common) > 1, "twenty ids begin with one of sixteen digits"
    with pytest.raises(AmbiguousImageError, match="several image ids"):
        store.get(common)


def test_tags_move(store: ImageStore, add_image: AddImage) -> None:
    one, two = add_image("one", ONE), add_image("two", TWO)
    assert store.tag("one", "prod").repo_tags == ["one:latest", "prod:latest"]
    assert store.tag(two.id, "prod").repo_tags == ["two:latest", "prod:latest"]
    assert store.get("one").repo_tags == ["one:latest"]
    store.tag("two", "one")
    assert store.get(one.id).repo_tags == [], "it has lost its last name, and is still there"


def test_a_digest_cannot_be_given(store: ImageStore, add_image: AddImage) -> None:
    add_image("one", ONE)
    with pytest.raises(InvalidReferenceError, match="cannot be chosen"):
        store.tag("one", f"two@{digest(b'')}")


def test_images_come_newest_first(store: ImageStore, add_image: AddImage) -> None:
    add_image("old", ONE, created="2020-01-01T00:00:00Z")
    add_image("new", ONE, created="2024-01-01T00:00:00.123456789+09:00")
    add_image("timeless", ONE, created="0001-01-01T00:00:00Z")
    assert [image.repo_tags[0] for image in store.images()] == [
        "new:latest",
        "old:latest",
        "timeless:latest",
    ]


def test_sizes_and_history(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ONE, TWO, execution=Execution(cmd=["true"]))
    store.lower_dirs(image)
    assert store.get("x").size == 1100
    steps = store.history(image)
    assert [(step.step.created_by, step.size) for step in steps] == [
        ("CMD", 0),
        ("layer 1", 1000),
        ("layer 0", 100),
    ]
    assert [step.image_id for step in steps] == [image.id, "<missing>", "<missing>"]
    assert steps[0].tags == ["x:latest"]


def test_shared_layers_are_counted_once(store: ImageStore, add_image: AddImage) -> None:
    one, both = add_image("one", ONE), add_image("both", ONE, TWO)
    store.lower_dirs(both)
    usage = store.disk_usage()
    assert usage.layers_size == 1100
    assert usage.shared_sizes == {one.id: 100, both.id: 100}
    blobs = store.root / "blobs/sha256"
    assert usage.blobs_size == sum(path.stat().st_size for path in blobs.iterdir())


def test_another_process_sees_what_is_named_at_once(store: ImageStore, add_image: AddImage) -> None:
    other = ImageStore(store.root)
    assert other.images() == []
    image = add_image("one", ONE)
    assert other.get("one") == image
    store.tag("one", "two")
    assert other.get("two").id == image.id


def _tag_many(root: Path, prefix: str) -> None:
    store = ImageStore(root)
    for number in range(20):
        store.tag("one", f"{prefix}:{number}")


def test_no_name_is_lost_when_processes_name_at_once(
    store: ImageStore, add_image: AddImage
) -> None:
    add_image("one", ONE)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_tag_many, args=(store.root, name)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert len(store.get("one").repo_tags) == 1 + 4 * 20


def test_a_damaged_table_says_what_to_do(store: ImageStore, add_image: AddImage) -> None:
    add_image("one", ONE)
    (store.root / "index.json").write_text('{"schemaVersion": 2, "manif')
    with pytest.raises(CorruptContentError, match="Move it away"):
        store.images()


def test_a_damaged_manifest_is_noticed(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("one", ONE)
    path = store.blobs.path(image.manifest_digest)
    path.write_bytes(path.read_bytes().replace(b"linux", b"linus") + b" ")
    with pytest.raises(CorruptContentError, match="damaged"):
        ImageStore(store.root).images()


def test_the_store_is_private(store: ImageStore) -> None:
    assert store.root.stat().st_mode & 0o077 == 0


def test_skopeo_reads_the_store_as_it_is(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("quay.io/x/one:v1", ONE, TWO)
    name = f"oci:{store.root}:quay.io/x/one:v1"
    shown = subprocess.run(
        ["skopeo", "inspect", name], capture_output=True, text=True, check=True, timeout=30
    )
    found = json.loads(shown.stdout)
    assert found["Digest"] == image.manifest_digest
    assert found["Layers"] == [layer.digest for layer in image.manifest.layers]
    assert os.listdir(store.root / "layers") == [], "nothing was unpacked for it"
