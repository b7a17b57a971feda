"""Images that buildah made run here, with the tree that buildah shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from images import peers, trees
from images.awkward import change, fill

from .conftest import RunningEngine

pytestmark = [
    pytest.mark.peer,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="Files of several users, and devices, are made."),
]
NAME = "localhost/awkward:1"
# What a runtime mounts, or makes to mount something on.
MADE = ["dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf"]


def test_a_container_sees_the_tree_that_buildah_shows(engine: RunningEngine) -> None:
    with peers.podman() as podman:
        expected = _make_image(podman, engine)
        podman("save", "--format", "oci-archive", "--output", f"{podman.folder}/made.tar", NAME)
        with (podman.folder / "made.tar").open("rb") as file:
            [image] = engine.client.images.load(file)
    try:
        seen = _seen_inside(engine, image)
        # What is mounted below them changes folders' times, or takes their place.
        for path in (".", "etc", "run", "tmp"):
            expected.pop(path, None)
            seen.pop(path, None)
        assert trees.differences(expected, seen) == []
    finally:
        engine.client.images.remove(NAME)


def _make_image(podman: peers.Podman, engine: RunningEngine) -> trees.Tree:
    """Make an image upon the base image, which has a Python that can look; return its tree."""
    base = podman.folder / "base.tar"
    with base.open("wb") as file:
        file.writelines(engine.client.images.get(engine.image).save(named=True))
    podman("load", "--quiet", "--input", str(base))
    name = f"docker.io/{engine.image}"
    for step in (fill, change):
        container = podman.buildah("from", "--pull-never", name)
        step(Path(podman.buildah("mount", container)))
        podman.buildah("commit", "--quiet", container, NAME)
        podman.buildah("rm", container)
        name = NAME
    container = podman.buildah("from", "--pull-never", NAME)
    try:
        return trees.describe(podman.buildah("mount", container), MADE)
    finally:
        podman.buildah("rm", container)


def _seen_inside(engine: RunningEngine, image: Any) -> trees.Tree:
    """The tree as root in a container sees it."""
    options = [f"--leave-out={path}" for path in MADE]
    command = ["/usr/bin/docker", "-H", f"unix://{engine.socket}", "run", "--rm", "-i"]
    done = subprocess.run(
        [*command, image.id, "python3", "-", *options, "/"],
        input=Path(trees.__file__).read_text(),
        capture_output=True,
        text=True,
        timeout=peers.TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return trees.read(done.stdout)
