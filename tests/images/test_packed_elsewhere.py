"""Packed images run under other engines: they are images like any other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cellcrate_runtime.images import BASE_REFERENCE, ImageStore
from cellcrate_runtime.images.packer.programs import Addition, Request, pack
from images import peers

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="Engines with state of their own are started by root alone."
    ),
]
PROGRAM = "import sqlite3, ssl, sys; print(sys.version_info.major, sqlite3.connect(':memory:'))"
SCRIPT = """\
#!/usr/bin/env python3
import json, sys; print(json.load(open("/srv/data.json")), sys.argv[1:])
"""
SAID = "{'answer': 42} ['asked']"


@pytest.fixture(scope="module")
def archive(base_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image, saved."""
    path = tmp_path_factory.mktemp("saved") / "base.tar"
    with path.open("wb") as file:
        base_store.save([BASE_REFERENCE], file)
    return path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script with its data, packed with its Python alone, and saved."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "data.json").write_text('{"answer": 42}')
    script = folder / "answer"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    store = ImageStore(folder / "images")
    additions = [Addition(folder / "data.json", "/srv/")]
    request = Request(programs=[str(script)], additions=additions, tag="made.example/answer:1")
    image = pack(store, request)
    assert image.repo_tags == ["made.example/answer:1"]
    path = folder / "answer.tar"
    with path.open("wb") as file:
        store.save(["made.example/answer:1"], file)
    return path


def test_podman_loads_and_runs_them(archive: Path, packed: Path, base_store: ImageStore) -> None:
    with peers.podman() as podman:
        assert BASE_REFERENCE in podman("load", "--input", str(archive))
        ids = podman("images", "--no-trunc", "--quiet").split()
        assert ids == [base_store.get(BASE_REFERENCE).id]
        assert podman.run(BASE_REFERENCE, "python3", "-c", PROGRAM).startswith("3 <sqlite3")
        podman("load", "--input", str(packed))
        assert podman.run("made.example/answer:1", "asked").strip() == SAID


def test_docker_loads_and_runs_them_and_we_load_what_it_saves(
    archive: Path, packed: Path, base_store: ImageStore, tmp_path: Path
) -> None:
    back = tmp_path / "back.tar"
    ours = base_store.get(BASE_REFERENCE)
    with peers.dockerd() as docker:
        docker("load", "--input", str(archive))
        assert docker("images", "--no-trunc", "--quiet", BASE_REFERENCE) == ours.id
        docker("load", "--input", str(packed))
        limits = ["--ulimit", "nofile=1024:1024"]
        assert docker.run(*limits, "made.example/answer:1", "asked") == SAID
        assert docker.run(*limits, BASE_REFERENCE, "python3", "-c", PROGRAM).startswith("3 <")
        docker("save", "--output", str(back), BASE_REFERENCE)
    other = ImageStore(tmp_path / "other")
    with back.open("rb") as file:
        [loaded] = other.load(file)
    assert (loaded.image_id, loaded.reference) == (ours.id, BASE_REFERENCE)
    assert other.get(BASE_REFERENCE).diff_ids == ours.diff_ids


def test_what_skopeo_copies_and_umoci_unpacks_runs(packed: Path, tmp_path: Path) -> None:
    peers.need("skopeo")
    peers.need("umoci")
    layout = f"{tmp_path}/layout:1"
    peers.call("skopeo", "copy", "--quiet", f"docker-archive:{packed}", f"oci:{layout}")
    peers.call("umoci", "unpack", "--image", layout, tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    environment = {"PATH": "/usr/local/bin:/usr/bin"}
    said = peers.call("/usr/sbin/chroot", root, "/usr/local/bin/answer", "asked", env=environment)
    assert said.strip() == SAID
