"""podman pod: containers that share the namespaces of an infra container."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_command.podman.client import IMAGE, Podman

pytestmark = pytest.mark.skipif(
    not Path("/usr/libexec/podman/catatonit").exists(),
    reason="podman makes infra containers of catatonit (Debian's package catatonit)",
)

_TREES = Path("/sys/fs/cgroup")
_KINDS = ("net", "ipc", "uts", "pid", "mnt")


@pytest.fixture(autouse=True)
def trees_alone() -> None:
    """Podman takes every folder among the trees of cgroup v1 for one, and cannot remove pods."""
    if os.geteuid() or (_TREES / "cgroup.controllers").exists():
        return
    strays = [
        each.name for each in _TREES.iterdir() if not each.is_symlink() and not each.is_mount()
    ]
    if strays:
        pytest.skip(f"{', '.join(strays)} in {_TREES} are folders without a controller")


@pytest.fixture(params=["net,ipc,uts", "+pid", "net,uts"])
def shared(request: pytest.FixtureRequest, podman: Podman) -> Iterator[set[str]]:
    """The pod ``p1`` with a container ``c1``, and the namespaces that its containers share."""
    share = request.param
    podman.do("pod", "create", "--name=p1", f"--share={share}", "--network=none")
    podman.do("run", "--detach", "--pod=p1", "--name=c1", IMAGE, "sleep", "1000")
    usual = {"net", "ipc", "uts"}
    yield usual | {share[1:]} if share.startswith("+") else set(share.split(","))
    podman.call("pod", "rm", "--force", "--time=0", "p1")


@pytest.fixture
def pod(podman: Podman) -> Iterator[str]:
    """A pod with a container ``c1``, which share what pods share usually."""
    podman.do("pod", "create", "--name=p1", "--network=none")
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done"
    podman.do("run", "--detach", "--pod=p1", "--name=c1", IMAGE, "sh", "-c", script)
    podman.wait_for_log("c1", "ready\n")
    yield "p1"
    podman.call("pod", "rm", "--force", "--time=0", "p1")


def test_containers_share_the_namespaces_of_the_pod(podman: Podman, shared: set[str]) -> None:
    links = [f"/proc/self/ns/{kind}" for kind in _KINDS]
    first = podman.do("exec", "c1", "readlink", *links).split()
    second = podman.run("--pod=p1", "readlink", *links).split()
    same = {kind for kind, *pair in zip(_KINDS, first, second, strict=True) if len(set(pair)) == 1}
    assert same == shared


def test_a_pod_has_a_name_of_its_own(podman: Podman, pod: str) -> None:
    assert podman.do("exec", "c1", "hostname") == f"{pod}\n"


def test_the_first_process_of_a_pod_is_the_infra_containers(podman: Podman) -> None:
    podman.do("pod", "create", "--name=p1", "--share=+pid", "--network=none")
    assert podman.run("--pod=p1", "cat", "/proc/1/cmdline").startswith("/catatonit")
    podman.do("pod", "rm", "--force", "--time=0", "p1")


def test_top_lists_the_processes_of_all(podman: Podman, pod: str) -> None:
    said = podman.do("pod", "top", pod)
    assert "/catatonit" in said
    assert "trap" in said


def test_a_pod_stops_and_starts_again(podman: Podman, pod: str) -> None:
    podman.do("pod", "stop", "--time=20", pod)
    assert podman.inspect("c1", ".State.ExitCode") == "9"
    podman.do("pod", "start", pod)
    assert podman.inspect("c1", ".State.Status") == "running"


def test_a_pod_that_runs_is_removed_by_force_alone(podman: Podman, pod: str) -> None:
    assert podman.call("pod", "rm", pod).returncode != 0
    podman.do("pod", "rm", "--force", "--time=0", pod)
    assert podman.do("ps", "--all", "--quiet") == ""


@pytest.mark.usefixtures("limits")
def test_a_pod_pauses_and_is_measured(podman: Podman, pod: str) -> None:
    podman.do("pod", "pause", pod)
    assert podman.inspect("c1", ".State.Status") == "paused"
    podman.do("pod", "unpause", pod)
    measured = json.loads(podman.do("pod", "stats", "--no-stream", "--format=json", pod))
    assert [each["Name"] for each in measured if int(each["PIDS"])]
