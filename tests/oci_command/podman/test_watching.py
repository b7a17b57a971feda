"""podman exec, logs, top, stats, pause, update and healthcheck, on a container that runs."""

from __future__ import annotations

import json

import pytest

from cellcrate_runtime.linux.cgroups import Cgroup
from oci_command.podman.client import IMAGE, Podman


def test_exec_gives_output_and_status(podman: Podman, running: str) -> None:
    done = podman.call("exec", running, "sh", "-c", "echo inside; exit 6")
    assert (done.returncode, done.stdout) == (6, "inside\n")
    assert podman.call("exec", running, "nosuch").returncode == 127


def test_exec_with_a_terminal(podman: Podman, running: str) -> None:
    words = ["exec", "--interactive", "--tty", running, "sh", "-c", "tty; exit 8"]
    status, seen = podman.in_terminal(*words)
    assert (status, seen) == (8, b"/dev/pts/0\r\n")


def test_exec_as_somebody_else_somewhere_else(podman: Podman, running: str) -> None:
    options = ["--user=alice:staff", "--workdir=/home/alice", "--env=WORD=there"]
    said = podman.do("exec", *options, running, "sh", "-c", "id -u; id -g; pwd; echo $WORD")
    assert said.split() == ["1000", "50", "/home/alice", "there"]


def test_privileged_exec_has_every_capability(podman: Podman, running: str) -> None:
    usual = podman.do("exec", running, "grep", "CapEff", "/proc/self/status")
    all_ = podman.do("exec", "--privileged", running, "grep", "CapEff", "/proc/self/status")
    assert int(usual.split()[1], 16) < int(all_.split()[1], 16)


def test_logs_and_top(podman: Podman, running: str) -> None:
    assert podman.do("logs", running) == "said\n"
    assert "trap" in podman.do("top", running)
    assert podman.do("top", running, "pid", "user").split()[2:4] == ["1", "root"]


@pytest.mark.usefixtures("limits")
def test_stats_has_memory_and_time(podman: Podman) -> None:
    options = ["--name=c2", "--network=none", "--memory=64m"]
    # It says so when it has used time enough to be seen.
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo used; exec sleep 1000"
    podman.do("run", "--detach", *options, IMAGE, "sh", "-c", script)
    podman.wait_for_log("c2", "used\n")
    (stats,) = json.loads(podman.do("stats", "--no-stream", "--format=json", "c2"))
    podman.do("rm", "--force", "--time=0", "c2")
    assert stats["mem_usage"].endswith("/ 67.11MB")
    assert stats["cpu_time"] not in ("0s", "--")
    assert stats["pids"] == "1"


@pytest.mark.usefixtures("limits")
def test_pause_and_unpause(podman: Podman, running: str) -> None:
    podman.do("pause", running)
    assert podman.inspect(running, ".State.Status") == "paused"
    podman.do("unpause", running)
    assert podman.inspect(running, ".State.Status") == "running"


@pytest.mark.usefixtures("limits")
def test_update_changes_a_limit(podman: Podman, running: str) -> None:
    if podman.call("update", "--help").returncode:
        pytest.skip("this podman has no update")
    podman.do("update", "--memory=128m", running)
    group = podman.inspect(running, ".State.CgroupPath")
    memory = Cgroup.open(group).stats().memory
    assert memory is not None
    assert memory.limit == 128 << 20


def test_a_health_check_runs_in_the_container(podman: Podman) -> None:
    # Without an interval, which would take systemd's timers.
    check = ["--health-cmd=test -e /tmp/well", "--health-interval=disable", "--health-retries=1"]
    podman.do("run", "--detach", "--name=c2", "--network=none", *check, IMAGE, "sleep", "1000")
    assert podman.call("healthcheck", "run", "c2").returncode == 1
    assert podman.inspect("c2", ".State.Health.Status") == "unhealthy"
    podman.do("exec", "c2", "touch", "/tmp/well")
    assert podman.call("healthcheck", "run", "c2").returncode == 0
    assert podman.inspect("c2", ".State.Health.Status") == "healthy"
    podman.do("rm", "--force", "--time=0", "c2")
