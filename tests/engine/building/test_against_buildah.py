"""The same Dockerfiles, built here and by Debian's buildah: the same files, the same configuration.

What buildah (1.28) cannot do yet is compared with what is written beside the case.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import BASE_REFERENCE, ImageStore
from engine.building.cases import CASES, OLD, context_of
from engine.building.conftest import TOOLS, build_with
from engine.conftest import RunningEngine
from images import peers, trees
from images.trees import Tree

pytestmark = [
    pytest.mark.peer,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah's layers have files of several users."),
]

# What buildah's own containers leave in a layer, or have mounted while it is looked at.
NOT_OURS = ("etc/hosts", "etc/resolv.conf", "etc/hostname", "run/.containerenv")
MEMBERS = (
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)


@pytest.fixture(scope="module")
def podman(module_engine: RunningEngine) -> Iterator[peers.Podman]:
    """Buildah, with the same images to build upon."""
    with peers.podman() as podman:
        archive = podman.folder / "base.tar"
        with archive.open("wb") as file:
            ImageStore(module_engine.paths.images).save([TOOLS, BASE_REFERENCE], file)
        podman("load", "--quiet", "--input", str(archive))
        yield podman


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.lacks])
def test_buildah_builds_the_same(
    engine: RunningEngine, podman: peers.Podman, name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    context = context_of(name, tmp_path)
    built = build_with(
        engine, context, tag=f"{name}:1", buildargs=case.arguments, target=case.target
    )
    assert not built.error, built.lines
    tree, config = _theirs(podman, name, context)
    ours = engine.client.api.inspect_image(built.image_id)["Config"]
    for member in MEMBERS:
        expected = case.config.get(member, config.get(member))
        assert (ours.get(member) or None) == (expected or None), member
    found = trees.differences(_ours(engine, built.image_id), tree, ["mtime_ns"])
    # What is in no layer, the root's own mode, containers/storage sets as it likes.
    differs = tuple(repr(path) for path in (".", *case.tree))
    assert "\n".join(line for line in found if not line.startswith(differs)) == ""
    moved = _old(_ours(engine, built.image_id)) ^ _old(tree)
    assert moved <= set(case.tree)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.lacks])
def test_what_buildah_lacks_is_as_docker_says(
    engine: RunningEngine, name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    built = build_with(engine, context_of(name, tmp_path), buildargs=case.arguments)
    assert not built.error, built.lines
    folders = _layers(engine, built.image_id)
    tree = _ours(engine, built.image_id)
    for path, content in case.files.items():
        if content is None:
            assert path not in tree
            continue
        found = next(folder / path for folder in folders if (folder / path).exists())
        assert found.read_text() == content


def _layers(engine: RunningEngine, image_id: str) -> list[Path]:
    store = ImageStore(engine.paths.images)
    return list(dict.fromkeys(store.lower_dirs(store.get(image_id))))


def _ours(engine: RunningEngine, image_id: str) -> Tree:
    return trees.describe_stack(_layers(engine, image_id), NOT_OURS)


def _theirs(podman: peers.Podman, name: str, context: Path) -> tuple[Tree, dict[str, Any]]:
    case, tag = CASES[name], f"localhost/theirs-{name}:1"
    arguments = [f"--build-arg={key}={value}" for key, value in case.arguments.items()]
    target = [f"--target={case.target}"] if case.target else []
    options = ["--isolation=chroot", "--format=docker", "--pull-never", "--quiet"]
    options += ["--identity-label=false", *arguments, *target]
    podman.buildah("bud", *options, f"--tag={tag}", str(context))
    tree = trees.describe(podman("image", "mount", tag).strip(), NOT_OURS)
    podman("image", "unmount", tag)
    inspected = json.loads(podman.buildah("inspect", "--type=image", tag))
    return tree, inspected["Docker"]["config"]


def _old(tree: Tree) -> set[str]:
    """The files with the time that those of contexts have: what was copied, and not made."""
    return {path for path, node in tree.items() if node["mtime_ns"] == OLD * 1_000_000_000}
