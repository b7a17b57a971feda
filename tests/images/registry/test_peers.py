"""Images that other programs push run here, and images that are pushed from here run there."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import BASE_REFERENCE, ImageStore
from cellcrate_runtime.images.documents import MediaType
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.push import push
from cellcrate_runtime.images.registry.settings import RegistrySettings
from images import peers
from images.handmade import Entry, RunInside, folder, symlink
from images.plain import add_plain
from images.registries import Registry

pytestmark = pytest.mark.peer

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="Engines with state of their own are started by root alone."
)
TREE = [
    folder("srv"),
    Entry("srv/setuid", b"#!/bin/sh\n", mode=0o4755),
    Entry("srv/text", b"text\n", mtime=1_234_567_890),
    symlink("srv/link", "text"),
]


def skopeo(*words: str) -> str:
    """Call skopeo for something that must work."""
    peers.need("skopeo")
    return peers.call("skopeo", *words)


@pytest.fixture(scope="module")
def pushed(
    base_store: ImageStore, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The base image, pushed from here; its name there."""
    # The store is others' too, so a copy of the image has the new name.
    archive = io.BytesIO()
    base_store.save([BASE_REFERENCE], archive)
    archive.seek(0)
    store = ImageStore(tmp_path_factory.mktemp("pushing") / "images")
    store.load(archive)
    name = registry.name("peers/base:1")
    store.tag(BASE_REFERENCE, name)
    push(store, parse(name), RegistrySettings())
    return name


@pytest.mark.parametrize(
    ("format", "compression"), [("oci", "gzip"), ("v2s2", "gzip"), ("oci", "zstd")]
)
def test_what_skopeo_pushes_is_pulled(
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    repository: str,
    tmp_path: Path,
    format: str,
    compression: str,
) -> None:
    other = ImageStore(tmp_path / "other")
    # skopeo remembers, beyond one run, where blobs are that have the same archive in them.
    new = [Entry("new", os.urandom(99))]
    image = add_plain(other, "made:1", [*TREE, *new], [Entry("srv/.wh.text"), *new])
    archive = tmp_path / "archive.tar"
    with archive.open("wb") as file:
        other.save(["made:1"], file)
    name = registry.name(f"{repository}:1")
    options = ["--dest-tls-verify=false", f"--format={format}"]
    options += [f"--dest-compress-format={compression}"]
    skopeo("copy", "-q", *options, f"docker-archive:{archive}", f"docker://{name}")
    pulled = pull(store, parse(name), settings)
    assert pulled.diff_ids == image.diff_ids
    expected = MediaType.MANIFEST if format == "oci" else MediaType.DOCKER_MANIFEST
    assert pulled.manifest.media_type == expected
    assert all(layer.media_type.endswith(compression) for layer in pulled.manifest.layers)
    [_, bottom] = store.lower_dirs(pulled)
    assert (bottom / "srv/setuid").stat().st_mode & 0o7777 == 0o4755
    assert (bottom / "srv/text").stat().st_mtime == 1_234_567_890
    assert os.readlink(bottom / "srv/link") == "text"


def test_skopeo_reads_what_is_pushed_here(
    pushed: str, registry: Registry, base_store: ImageStore, tmp_path: Path
) -> None:
    inspected = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{pushed}"))
    assert inspected["RepoTags"] == ["1"]
    layout = f"oci:{tmp_path}/layout:1"
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{pushed}", layout)
    raw = json.loads(skopeo("inspect", "--raw", layout))
    assert raw["config"]["digest"] == base_store.get(BASE_REFERENCE).id
    assert {layer["mediaType"] for layer in raw["layers"]} == {MediaType.LAYER_GZIP}


@as_root
def test_umoci_unpacks_what_is_pushed_here(pushed: str, tmp_path: Path) -> None:
    peers.need("umoci")
    layout = f"{tmp_path}/layout:1"
    skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{layout}")
    peers.call("umoci", "unpack", "--image", layout, f"{tmp_path}/bundle")
    assert (tmp_path / "bundle/rootfs/bin/sh").exists()


@pytest.fixture(scope="module")
def podman() -> Iterator[peers.Podman]:
    """Podman with nothing."""
    with peers.podman() as podman:
        yield podman


@as_root
def test_podman_pulls_and_runs_what_is_pushed_here(
    podman: peers.Podman, pushed: str, base_store: ImageStore
) -> None:
    podman("pull", "-q", "--tls-verify=false", pushed)
    found = podman("images", "--no-trunc", "--quiet").split()
    assert base_store.get(BASE_REFERENCE).id in found
    assert podman.run(pushed, "echo", "from there") == "from there\n"


@as_root
def test_what_buildah_pushes_runs_here(
    podman: peers.Podman,
    pushed: str,
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    run_inside: RunInside,
    repository: str,
) -> None:
    container = podman.buildah("from", "--tls-verify=false", pushed)
    root = Path(podman.buildah("mount", container))
    (root / "srv").mkdir(exist_ok=True)
    (root / "srv/made").write_text("by buildah")
    name = registry.name(f"{repository}:1")
    podman.buildah("commit", "--quiet", container, name)
    podman.buildah("rm", container)
    podman.buildah("push", "-q", "--tls-verify=false", name)
    image = pull(store, parse(name), settings)
    assert run_inside(store.lower_dirs(image), "/bin/cat", "/srv/made").stdout == "by buildah"


@as_root
def test_docker_pulls_runs_and_pushes_back(
    pushed: str,
    registry: Registry,
    store: ImageStore,
    settings: RegistrySettings,
    base_store: ImageStore,
    run_inside: RunInside,
    repository: str,
) -> None:
    name = registry.name(f"{repository}:1")
    with peers.dockerd() as docker:
        assert "Downloaded newer image" in docker("pull", pushed)
        assert docker.run(pushed, "echo", "from there") == "from there"
        docker("tag", pushed, name)
        docker("push", name)
        [inspected] = json.loads(docker("image", "inspect", name))
        docker("rmi", pushed, name)
    image = pull(store, parse(name), settings)
    assert image.id == inspected["Id"] == base_store.get(BASE_REFERENCE).id
    assert image.repo_digests[0] in inspected["RepoDigests"]
    assert run_inside(store.lower_dirs(image), "/bin/echo", "back").stdout == "back\n"
