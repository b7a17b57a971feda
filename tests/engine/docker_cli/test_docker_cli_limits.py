"""Limits that the docker command asks for, as the container feels them."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.root  # an ordinary user's need a delegated cgroup

MIB = 1024 * 1024


def state(docker: Any, name: str) -> Any:
    return json.loads(docker("inspect", "--format", "{{json .State}}", name))


def test_more_memory_than_allowed_is_killed_and_said_to_be(docker: Any) -> None:
    hungry = "x = bytearray(256 << 20)"
    done = docker.run("run", "--name", "hungry", "-m", "32m", docker.image, "python3", "-c", hungry)
    assert done.returncode == 137
    assert state(docker, "hungry")["OOMKilled"] is True


def test_more_processes_than_allowed_are_refused(docker: Any) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; echo never"
    done = docker.run("run", "--rm", "--pids-limit", "5", docker.image, "sh", "-c", script)
    assert done.returncode != 0
    assert "fork" in done.stderr
    assert "never" not in done.stdout


def test_a_quota_of_processor_time(docker: Any, box: Any) -> None:
    busy = "while :; do :; done"
    name = box("--cpus", "0.2", command=("sh", "-c", busy))

    def was_throttled() -> bool:
        # The throttled periods tell of the quota whatever else the machine does.
        files = "/sys/fs/cgroup/cpu.stat /sys/fs/cgroup/cpu*/cpu.stat"  # of cgroup v2, and of v1
        shown = docker("exec", name, "sh", "-c", f"cat {files} 2>/dev/null; true")
        counts = dict(line.split() for line in shown.splitlines())
        return int(counts.get("nr_throttled", 0)) > 2

    docker.eventually(was_throttled)


def test_update_changes_a_running_container(docker: Any, box: Any) -> None:
    name = box("-m", "64m", "--memory-swap", "-1")
    assert (
        docker(
            "update",
            "-m",
            "128m",
            "--memory-swap",
            "-1",
            "--pids-limit",
            "77",
            "--cpus",
            "0.7",
            name,
        )
        == name
    )
    host = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", name))
    assert (host["Memory"], host["PidsLimit"], host["NanoCpus"]) == (128 * MIB, 77, 700_000_000)
    usage = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", name)
    assert usage.endswith("/ 128MiB")
    document = json.loads(docker("inspect", name))[0]
    assert document["State"]["Running"] is True


def test_limits_that_were_asked_for_are_shown(docker: Any) -> None:
    docker(
        "create",
        "--name",
        "asked",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
        docker.image,
    )
    host = json.loads(docker("inspect", "--format", "{{json .HostConfig}}", "asked"))
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 * MIB, 500_000_000, 50)


@pytest.mark.parametrize("limit", ["4k", "1000000g"])
def test_an_update_that_cannot_be_changes_nothing(docker: Any, box: Any, limit: str) -> None:
    name = box("-m", "64m", "--memory-swap", "-1")
    assert docker.run("update", "-m", limit, name).returncode != 0
    assert docker("inspect", "--format", "{{.HostConfig.Memory}}", name) == str(64 * MIB)
