"""Podman with an image, and a container that runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_command.podman.client import IMAGE, Podman


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Podman can be late on a busy machine."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.peer)


@pytest.fixture(scope="session")
def podman(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Podman, with an image of this machine's programs."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian's package podman)")
    if os.geteuid() != 0 and shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is not installed (Debian's package uidmap)")
    # A short name: podman takes no path of more than 50 characters for what it keeps while it runs.
    podman = Podman(tmp_path_factory.mktemp("p"))
    try:
        podman.load_image(rootfs)
        yield podman
    finally:
        podman.end()
    podman.wait_for_processes()
    assert str(podman.folder) not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture(autouse=True)
def nothing_left(podman: Podman) -> Iterator[None]:
    """No test leaves a container, or a pod."""
    yield
    left = podman.do("ps", "--all", "--quiet") + podman.do("pod", "ps", "--quiet")
    podman.call("pod", "rm", "--all", "--force", "--time=0")
    podman.call("rm", "--all", "--force", "--time=0")
    assert not left


@pytest.fixture
def running(podman: Podman) -> Iterator[str]:
    """A container that runs until it is removed."""
    script = "trap 'exit 9' TERM; echo said; while :; do sleep 0.02; done"
    options = ["--network=none", "--ipc=shareable"]
    podman.do("run", "--detach", "--name=c1", *options, IMAGE, "sh", "-c", script)
    podman.wait_for_log("c1", "said\n")
    yield "c1"
    podman.do("rm", "--force", "--time=0", "c1")


@pytest.fixture(scope="session")
def limits(podman: Podman) -> None:
    """Skip what needs control groups of the user's own."""
    if os.geteuid() == 0:
        return
    version, controllers = podman.do(
        "info", "--format={{.Host.CgroupsVersion}} {{.Host.CgroupControllers}}"
    ).split(maxsplit=1)
    if version != "v2" or "memory" not in controllers:
        pytest.skip(f"no control groups are delegated to this user ({version}: {controllers})")
