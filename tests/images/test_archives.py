"""Archives come back as they went, and other tools read ours and write theirs."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import (
    CorruptContentError,
    Execution,
    ImageNotFoundError,
    ImageStore,
    InvalidArchiveError,
    archive_load,
)
from cellcrate_runtime.images.architecture import machine_architecture
from images.handmade import AddImage, Entry, digest, folder, make_archive, symlink
from images.tar_bytes import block

ONE = [Entry("one", b"1" * 100)]
TWO = [Entry("two", b"2" * 1000)]


@pytest.fixture
def other(tmp_path: Path) -> ImageStore:
    """A store to load into."""
    return ImageStore(tmp_path / "other")


def saved(store: ImageStore, *references: str) -> bytes:
    stream = io.BytesIO()
    store.save(references, stream)
    return stream.getvalue()


def names_in(store: ImageStore) -> list[str]:
    return sorted(name for image in store.images() for name in image.repo_tags)


def is_empty(store: ImageStore) -> bool:
    folders = [store.root / "blobs/sha256", store.root / "layers"]
    return not store.images() and not any(os.listdir(folder) for folder in folders)


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_images_come_back_as_they_went(
    store: ImageStore, add_image: AddImage, other: ImageStore
) -> None:
    image = add_image("quay.io/x/one:v1", ONE, TWO, execution=Execution(cmd=["/one"]))
    add_image("two", TWO)
    loaded = other.load(io.BytesIO(saved(store, "quay.io/x/one:v1", "two")))
    assert [item.reference for item in loaded] == ["quay.io/x/one:v1", "two:latest"]
    again = other.get("quay.io/x/one:v1")
    assert (again.id, again.manifest_digest, again.config) == (
        image.id,
        image.manifest_digest,
        image.config,
    )
    assert [sorted(os.listdir(path)) for path in other.lower_dirs(again)] == [["two"], ["one"]]


def test_a_saved_image_is_the_same_bytes_every_time(store: ImageStore, add_image: AddImage) -> None:
    add_image("x", ONE, TWO)
    assert saved(store, "x") == saved(store, "x")


def test_only_the_names_asked_for_are_saved(
    store: ImageStore, add_image: AddImage, other: ImageStore
) -> None:
    image = add_image("x:1", ONE)
    for name in ("x:2", "y:1"):
        store.tag("x:1", name)
    other.load(io.BytesIO(saved(store, "x:2")))
    assert names_in(other) == ["x:2"]
    other.load(io.BytesIO(saved(store, "x")))
    assert names_in(other) == ["x:1", "x:2"], "a name without a tag means all of its tags"
    [loaded] = ImageStore(other.root / "third").load(io.BytesIO(saved(store, image.id)))
    assert (loaded.image_id, loaded.reference) == (image.id, None)


def test_nothing_is_written_for_an_image_that_is_not_there(
    store: ImageStore, add_image: AddImage
) -> None:
    add_image("x", ONE)
    stream = io.BytesIO()
    with pytest.raises(ImageNotFoundError):
        store.save(["x", "nope"], stream)
    assert stream.getvalue() == b""


def test_a_damaged_blob_is_not_saved(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", [Entry("file", os.urandom(1 << 20))])
    path = store.blobs.path(image.manifest.layers[0].digest)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptContentError):
        store.save(["x"], io.BytesIO())


def docker_archive(**changes: Any) -> bytes:
    """An archive as ``docker save`` wrote it before version 25."""
    layer = make_archive(ONE)
    config = json.dumps(
        {
            "architecture": machine_architecture(),
            "os": "linux",
            "config": {"Cmd": ["/one"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)] * 2},
        }
    ).encode()
    name = digest(config).removeprefix("sha256:")
    manifest = [
        {
            "Config": f"{name}.json",
            "RepoTags": ["old/style:1", "old/style:2"],
            "Layers": ["aaa/layer.tar", "bbb/layer.tar"],
            **changes,
        }
    ]
    return make_archive(
        [
            folder("aaa"),
            Entry("aaa/VERSION", b"1.0"),
            Entry("aaa/json", b"{}"),
            Entry("aaa/layer.tar", layer),
            folder("bbb"),
            # It wrote a layer that it had already written as a link.
            symlink("bbb/layer.tar", "../aaa/layer.tar"),
            Entry(f"{name}.json", config),
            Entry("manifest.json", json.dumps(manifest).encode()),
            Entry("repositories", b"{}"),
        ]
    )


def test_a_header_of_any_length_is_not_read(store: ImageStore) -> None:
    """It would lie in memory as a whole."""
    archive = block(b"PaxHeader", b"x", size=1 << 30) + bytes(1 << 20)
    with pytest.raises(InvalidArchiveError, match="header of 1073741824 bytes"):
        store.load(io.BytesIO(archive))


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_dockers_older_archives_are_read(store: ImageStore, compress: Any) -> None:
    loaded = store.load(io.BytesIO(compress(docker_archive())))
    assert [item.reference for item in loaded] == ["old/style:1", "old/style:2"]
    image = store.get("old/style:2")
    assert image.config.execution.cmd == ["/one"]
    assert [os.listdir(path) for path in store.lower_dirs(image)] == [["one"], ["one"]]
    stray = set(store.blobs.all()) - {image.manifest_digest, image.id, image.diff_ids[0]}
    assert stray == set(), "what is no part of an image does not stay"


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"not an archive" * 100, "not an archive"),
        (b"", "holds no image"),
        (make_archive([Entry("etc/passwd", b"root")]), "holds no image"),
        (docker_archive()[:5000], "."),
        (docker_archive(Layers=["../../etc/passwd", "aaa/layer.tar"]), "not in it"),
        (docker_archive(Layers=["aaa/layer.tar"]), "1 layers"),
        (docker_archive(Config="missing.json"), "not in it"),
        (docker_archive(RepoTags=["NOT/a/NAME"]), "no good name"),
        (make_archive([Entry("manifest.json", b"{]")]), "manifest.json"),
    ],
)
def test_a_bad_archive_leaves_nothing(store: ImageStore, archive: bytes, words: str) -> None:
    with pytest.raises(InvalidArchiveError, match=words):
        store.load(io.BytesIO(archive))
    assert is_empty(store)


def test_an_archive_of_very_many_files_is_refused_early(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_load, "MOST_FILES", 20)
    archive = make_archive([Entry(f"usr/bin/{n}", str(n).encode()) for n in range(100)])
    stream = io.BytesIO(archive)
    with pytest.raises(InvalidArchiveError, match="holds no image"):
        store.load(stream)
    assert is_empty(store)


def test_a_blob_under_a_wrong_name_leaves_nothing(
    store: ImageStore, add_image: AddImage, other: ImageStore
) -> None:
    image = add_image("x", [Entry("file", os.urandom(1 << 16))])
    archive = bytearray(saved(store, "x"))
    layer = store.blobs.path(image.manifest.layers[0].digest).read_bytes()
    archive[archive.index(layer) + 100] ^= 1
    with pytest.raises(CorruptContentError):
        other.load(io.BytesIO(archive))
    assert is_empty(other)


def index_archive(*architectures: str) -> bytes:
    """A layout whose one image is offered for several processors."""
    layer = make_archive(ONE)
    blobs = [layer]

    def add(document: Any, media_type: str) -> dict[str, Any]:
        content = layer if document is layer else json.dumps(document).encode()
        blobs.append(content)
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    kind = "application/vnd.oci.image"
    offered = []
    for architecture in architectures:
        config = {
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
        manifest = {
            "schemaVersion": 2,
            "config": add(config, f"{kind}.config.v1+json"),
            "layers": [add(layer, f"{kind}.layer.v1.tar")],
        }
        descriptor = add(manifest, f"{kind}.manifest.v1+json")
        offered.append({**descriptor, "platform": {"architecture": architecture, "os": "linux"}})
    inner = add({"schemaVersion": 2, "manifests": offered}, f"{kind}.index.v1+json")
    inner["annotations"] = {"io.containerd.image.name": "docker.io/library/multi:1"}
    return make_archive(
        [
            *(
                Entry(f"blobs/sha256/{digest(blob).removeprefix('sha256:')}", blob)
                for blob in dict.fromkeys(blobs)
            ),
            Entry("index.json", json.dumps({"schemaVersion": 2, "manifests": [inner]}).encode()),
            Entry("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        ]
    )


def test_the_image_for_this_processor_is_chosen(store: ImageStore) -> None:
    [loaded] = store.load(io.BytesIO(index_archive("made-up", machine_architecture(), "other")))
    assert loaded.reference == "multi:1"
    assert store.get("multi:1").config.architecture == machine_architecture()
    assert len(store.images()) == 1


def test_an_image_for_other_processors_says_so(store: ImageStore) -> None:
    with pytest.raises(InvalidArchiveError, match="made for made-up, other"):
        store.load(io.BytesIO(index_archive("made-up", "other")))
    assert is_empty(store)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeos_archives_are_read(
    store: ImageStore, add_image: AddImage, other: ImageStore, tmp_path: Path, transport: str
) -> None:
    image = add_image("x:1", ONE, TWO)
    archive = tmp_path / "archive"
    source = f"oci:{store.root}:docker.io/library/x:1"
    run("skopeo", "copy", source, f"{transport}:{archive}:docker.io/a/b:2")
    with archive.open("rb") as file:
        [loaded] = other.load(file)
    assert (loaded.image_id, loaded.reference) == (image.id, "a/b:2")


@pytest.mark.skipif(shutil.which("zstd") is None, reason="There is no zstd on this machine.")
def test_layers_may_be_compressed_with_zstd(
    store: ImageStore, add_image: AddImage, tmp_path: Path
) -> None:
    image = add_image("x:1", ONE, TWO)
    layout = tmp_path / "layout"
    run(
        "skopeo", "copy", "--dest-compress", "--dest-compress-format", "zstd",
        f"oci:{store.root}:docker.io/library/x:1", f"oci:{layout}:docker.io/library/x:1",
    )  # fmt: skip
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(layout, ".")
    other = ImageStore(tmp_path / "zstd-store")
    other.load(io.BytesIO(stream.getvalue()))
    again = other.get("x:1")
    assert again.id == image.id
    assert {layer.media_type.rpartition("+")[2] for layer in again.manifest.layers} == {"zstd"}
    assert [os.listdir(path) for path in other.lower_dirs(again)] == [["two"], ["one"]]
    # The same layer, damaged on disk and needed again.
    other.layers.remove(again.diff_ids[0])
    blob = other.blobs.path(again.manifest.layers[0].digest)
    content = bytearray(blob.read_bytes())
    content[-20] ^= 1
    blob.write_bytes(content)
    with pytest.raises(CorruptContentError, match="damaged"):
        other.lower_dirs(again)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_ours(
    store: ImageStore, add_image: AddImage, tmp_path: Path, transport: str
) -> None:
    image = add_image("quay.io/x/one:v1", ONE, TWO)
    archive = tmp_path / "archive.tar"
    archive.write_bytes(saved(store, "quay.io/x/one:v1"))
    name = "quay.io/x/one:v1" if transport == "docker-archive" else "v1"
    shown = json.loads(run("skopeo", "inspect", "--config", f"{transport}:{archive}:{name}"))
    assert shown["rootfs"]["diff_ids"] == image.diff_ids
