"""Images pushed to a real registry."""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import ImageNotFoundError, ImageStore
from cellcrate_runtime.images.documents import MediaType
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.progress import Step
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.push import push
from cellcrate_runtime.images.registry.settings import RegistrySettings
from images.handmade import AddImage, Entry, digest
from images.plain import add_plain
from images.registries import Registry
from images.sent import DOCKER, Sender


def manifest_in(registry: Registry, repository: str, reference: str) -> Any:
    """A manifest, as anybody gets it."""
    request = urllib.request.Request(
        f"http://{registry.address}/v2/{repository}/manifests/{reference}",
        headers={"Accept": f"{MediaType.MANIFEST}, {MediaType.DOCKER_MANIFEST}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_an_image_is_pushed_and_pulled_elsewhere(
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    add_image: AddImage,
    tmp_path: Path,
) -> None:
    name = registry.name(f"{repository}:1")
    image = add_image(name, [Entry("a", b"A")], [Entry("b", os.urandom(100_000))])
    steps: list[Step] = []
    [pushed] = push(store, parse(name), settings, report=steps.append)
    assert pushed.digest == image.manifest_digest
    assert store.get(name).repo_digests == [f"{registry.name(repository)}@{pushed.digest}"]
    said = [step.status for step in steps]
    assert said[0] == f"The push refers to repository [{registry.name(repository)}]"
    assert said[-2] == f"1: digest: {pushed.digest} size: {pushed.size}"
    assert steps[-1].aux == {"Tag": "1", "Digest": pushed.digest, "Size": pushed.size}
    assert said.count("Preparing") == said.count("Pushed") == 2
    other = ImageStore(tmp_path / "other")
    pulled = pull(other, parse(name), settings)
    assert pulled.id == image.id
    assert (other.lower_dirs(pulled)[1] / "a").read_bytes() == b"A"


def test_plain_layers_are_compressed_once_and_alike(
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    tmp_path: Path,
) -> None:
    name = registry.name(f"{repository}:1")
    layers = [[Entry("a", b"A" * 100_000)], [Entry("b")]]
    image = add_plain(store, name, *layers)
    [first] = push(store, parse(name), settings)
    sent = manifest_in(registry, repository, "1")
    assert {layer["mediaType"] for layer in sent["layers"]} == {MediaType.LAYER_GZIP}
    assert sent["config"]["digest"] == image.id
    assert store.collect() == 0  # what was compressed belongs to an image
    before = len(registry.requests("POST", repository))
    steps: list[Step] = []
    assert push(store, parse(name), settings, report=steps.append) == [first]
    assert len(registry.requests("POST", repository)) == before
    assert [step.status for step in steps].count("Layer already exists") == 2
    # Who makes the same image elsewhere pushes the same bytes.
    other = ImageStore(tmp_path / "other")
    add_plain(other, name, *layers)
    assert push(other, parse(name), settings) == [first]


def test_an_image_of_docker_stays_one(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    sent = sender.image(repository, "1", [Entry("a")], kind=DOCKER)
    image = pull(store, parse(registry.name(f"{repository}:1")), settings)
    target = registry.name(f"{repository}/other:2")
    store.tag(image.id, target)
    [pushed] = push(store, parse(target), settings)
    assert pushed.digest == sent.digest
    assert manifest_in(registry, f"{repository}/other", "2")["mediaType"] == DOCKER.manifest


def test_layers_are_mounted_from_where_they_came(
    registry: Registry,
    sender: Sender,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
) -> None:
    sent = sender.image(repository, "1", [Entry("a", os.urandom(50_000))])
    image = pull(store, parse(registry.name(f"{repository}:1")), settings)
    target = registry.name(f"{repository}/copy:1")
    store.tag(image.id, target)
    steps: list[Step] = []
    push(store, parse(target), settings, report=steps.append)
    assert Step(f"Mounted from {repository}", sent.diff_ids[0][7:19]) in steps
    assert registry.requests("PATCH", f"{repository}/copy") == []
    assert [r.path for r in registry.requests("PUT", f"{repository}/copy/blobs")] == []


def test_a_large_layer_goes_in_chunks(
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    add_image: AddImage,
    tmp_path: Path,
) -> None:
    name = registry.name(f"{repository}:1")
    image = add_image(name, [Entry("a", os.urandom(1_000_000))])
    push(store, parse(name), replace(settings, chunk=300_000))
    assert len(registry.requests("PATCH", repository)) == 4
    other = ImageStore(tmp_path / "other")
    assert pull(other, parse(name), settings).id == image.id


def test_all_tags_are_pushed(
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    add_image: AddImage,
) -> None:
    for tag in ("1", "2"):
        add_image(registry.name(f"{repository}:{tag}"), [Entry(tag)])
    pushed = push(store, parse(registry.name(repository)), settings)
    assert [one.tag for one in pushed] == ["1", "2"]
    assert manifest_in(registry, repository, "2")


def test_what_is_not_here_cannot_be_pushed(
    registry: Registry, store: ImageStore, settings: RegistrySettings, repository: str
) -> None:
    with pytest.raises(ImageNotFoundError, match="does not exist locally with the tag"):
        push(store, parse(registry.name(f"{repository}:1")), settings)
    with pytest.raises(ImageNotFoundError, match="digest"):
        push(store, parse(registry.name(f"{repository}@{digest(b'')}")), settings)
    assert registry.requests("PUT", repository) == []


def test_a_failed_push_leaves_nothing_here(
    registry: Registry, store: ImageStore, settings: RegistrySettings
) -> None:
    name = "127.0.0.1:1/x:1"
    add_plain(store, name, [Entry("a")])
    before = sorted(store.blobs.all())
    with pytest.raises(Exception, match="cannot be reached"):
        push(store, parse(name), settings)
    assert sorted(store.blobs.all()) == before
