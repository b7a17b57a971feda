"""Stores in temporary folders, archives made by hand, and a way to run what is in an image."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cellcrate_runtime.images import Image, ImageStore
from cellcrate_runtime.images.documents import (
    Descriptor,
    Execution,
    History,
    ImageConfig,
    Manifest,
    MediaType,
    RootFS,
    encode,
)
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.subordinate import remove_tree
from images.handmade import AddImage, Entry, RunInside, digest, make_archive


@pytest.fixture(autouse=True)
def _nothing_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove an ordinary user's layers, which pytest cannot: files belong to subordinate ids."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and os.geteuid() != 0:
        remove_tree(folder)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    """An empty store."""
    return ImageStore(tmp_path / "images")


@pytest.fixture
def add_image(store: ImageStore) -> AddImage:
    """Put an image of layers made by hand into the store, as a pull would."""

    def add(
        name: str | None,
        *layers: Sequence[Entry],
        into: ImageStore = store,
        created: str = "2024-01-02T03:04:05Z",
        execution: Execution | None = None,
        diff_ids: list[str] | None = None,
    ) -> Image:
        archives = [make_archive(layer) for layer in layers]
        config = ImageConfig(
            created=created,
            architecture="amd64",
            os="linux",
            config=execution,
            rootfs=RootFS(diff_ids=diff_ids or [digest(archive) for archive in archives]),
            history=[
                *(History(created=created, created_by=f"layer {n}") for n in range(len(layers))),
                History(created=created, created_by="CMD", empty_layer=True),
            ],
        )
        with into.adding():
            descriptors = [
                _blob(into, MediaType.LAYER_GZIP, gzip.compress(archive, mtime=0))
                for archive in archives
            ]
            manifest = Manifest(
                schema_version=2,
                media_type=MediaType.MANIFEST,
                config=_blob(into, MediaType.CONFIG, encode(config)),
                layers=descriptors,
            )
            stored = into.blobs.add(encode(manifest))
            into.name(stored, parse(name).with_default_tag() if name else None)
        return into.get(manifest.config.digest)

    return add


def _blob(store: ImageStore, media_type: str, content: bytes) -> Descriptor:
    return Descriptor(media_type=media_type, digest=store.blobs.add(content), size=len(content))


@pytest.fixture(scope="session")
def base_store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    """A store with the base image in it. Tests leave it as it is."""
    store = ImageStore(tmp_path_factory.mktemp("base") / "images")
    store.ensure_base()
    return store


@pytest.fixture
def run_inside(tmp_path: Path) -> RunInside:
    """Run a program with an image's layers as its root, stacked by overlayfs.

    Only the kernel and util-linux are used, so that this tests images and nothing else of ours.
    An ordinary user does it in a user namespace, as root of that.
    """

    def run(
        folders: Sequence[Path], *command: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        for name in ("upper", "work", "root"):
            (tmp_path / name).mkdir(exist_ok=True)
        options = f"lowerdir={':'.join(map(str, folders))},upperdir={tmp_path}/upper,"
        options += f"workdir={tmp_path}/work"
        privileged = os.geteuid() == 0
        unshare = ["unshare", "--mount", "--pid", "--fork"]
        if not privileged:
            unshare += ["--user", "--map-root-user"]
            options += ",userxattr"
        script = (
            'mount -t overlay overlay -o "$1" "$2" && mount -t proc proc "$2/proc" || exit 99; '
            'root=$2; shift 2; exec chroot "$root" "$@"'
        )
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "TERM": "xterm"}
        done = subprocess.run(
            [*unshare, "sh", "-c", script, "sh", options, str(tmp_path / "root"), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 99 and not privileged:
            pytest.skip(f"An ordinary user cannot mount overlayfs here: {done.stderr}")
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run
