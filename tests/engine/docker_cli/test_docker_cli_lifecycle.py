"""From create to rm: start, stop, kill, pause, wait, rename, restart, prune, health."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest


def state(docker: Any, name: str) -> Any:
    return json.loads(docker("inspect", "--format", "{{json .State}}", name))


def test_create_start_stop_start_rm(docker: Any) -> None:
    script = "trap 'echo stopping; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    docker("create", "--name", "life", docker.image, "sh", "-c", script)
    assert state(docker, "life")["Status"] == "created"
    for round in (1, 2):
        assert docker("start", "life") == "life"
        docker.eventually(lambda wanted=round: docker("logs", "life").count("up") == wanted)
        assert docker("stop", "life") == "life"
        assert state(docker, "life")["Status"] == "exited"
        assert state(docker, "life")["ExitCode"] == 0
    assert docker("logs", "life").splitlines() == ["up", "stopping"] * 2
    assert docker("rm", "life") == "life"
    assert docker.run("rm", "life").returncode == 1


def test_stop_kills_what_does_not_listen(docker: Any) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    docker("run", "-d", "--name", "deaf", docker.image, "sh", "-c", script)
    docker.eventually(lambda: docker("logs", "deaf") == "up")
    docker("stop", "-t", "1", "deaf")
    assert state(docker, "deaf")["ExitCode"] == 137


def test_stop_signal_of_its_own(docker: Any) -> None:
    script = "trap 'exit 11' USR1; echo up; while :; do sleep 0.05; done"
    docker("run", "-d", "--name", "own", "--stop-signal", "USR1", docker.image, "sh", "-c", script)
    docker.eventually(lambda: docker("logs", "own") == "up")
    docker("stop", "own")
    assert state(docker, "own")["ExitCode"] == 11


def test_kill_with_signals(docker: Any, box: Any) -> None:
    name = box()
    assert docker("kill", "-s", "CONT", name) == name
    assert state(docker, name)["Running"] is True
    bad = docker.run("kill", "-s", "BANANAS", name)
    assert bad.returncode == 1
    assert "BANANAS" in bad.stderr
    docker("kill", name)
    assert docker("wait", name) == "137"
    again = docker.run("kill", name)
    assert again.returncode == 1
    assert "is not running" in again.stderr


@pytest.mark.root  # freezing needs a control group
def test_pause_and_unpause(docker: Any) -> None:
    script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"
    docker("run", "-d", "--name", "clock", docker.image, "sh", "-c", script)
    docker.eventually(lambda: docker("logs", "clock") != "")
    assert docker("pause", "clock") == "clock"
    assert state(docker, "clock")["Status"] == "paused"
    assert "(Paused)" in docker("ps", "--format", "{{.Status}}")
    before = docker("logs", "clock")
    time.sleep(0.3)
    assert docker("logs", "clock") == before
    assert docker.run("pause", "clock").returncode == 1
    assert docker("unpause", "clock") == "clock"
    docker.eventually(lambda: docker("logs", "clock") != before)
    assert docker.run("unpause", "clock").returncode == 1
    docker("pause", "clock")
    docker("rm", "-f", "clock")


def test_wait(docker: Any) -> None:
    docker("run", "-di", "--name", "later", docker.image, "sh", "-c", "read x; exit $x")
    waiting = docker.start("wait", "later")
    typing = docker.start("attach", "later", stdin=-1)
    typing.stdin.write("9\n")
    typing.stdin.flush()
    assert waiting.stdout.read() == "9\n"


def test_rename(docker: Any, box: Any) -> None:
    first, second = box(), box()
    docker("rename", first, "renamed")
    assert state(docker, "renamed")["Running"] is True
    assert docker.run("inspect", first).returncode == 1
    taken = docker.run("rename", "renamed", second)
    assert taken.returncode == 1
    assert "already in use" in taken.stderr
    assert docker.run("rename", "renamed", "no spaces!").returncode == 1


def test_rm_of_what_runs(docker: Any, box: Any) -> None:
    name = box()
    refused = docker.run("rm", name)
    assert refused.returncode == 1
    assert "running" in refused.stderr
    assert docker("rm", "-f", name) == name


def test_restart_policies(docker: Any) -> None:
    failing = "echo try; exit 5"
    options = ("--restart", "on-failure:2", "--name", "failing")
    docker("run", "-d", *options, docker.image, "sh", "-c", failing)
    docker.eventually(lambda: state(docker, "failing")["Status"] == "exited")
    assert docker("logs", "failing").splitlines() == ["try"] * 3
    assert docker("inspect", "--format", "{{.RestartCount}}", "failing") == "2"
    docker("run", "-d", "--restart", "always", "--name", "again", docker.image, "echo", "again")
    docker.eventually(lambda: docker("logs", "again").count("again") > 2)
    docker("stop", "again")
    assert state(docker, "again")["Status"] == "exited"
    docker("run", "-d", "--restart", "always", "--name", "kept", docker.image, "sleep", "1000")
    pid = state(docker, "kept")["Pid"]
    docker("restart", "-t", "0", "kept")
    assert state(docker, "kept")["Pid"] not in (0, pid)


def test_init_reaps_and_passes_signals_on(docker: Any, box: Any) -> None:
    name = box()
    assert docker("exec", name, "cat", "/proc/1/comm") != "sleep"
    docker("stop", "-t", "20", name)
    assert state(docker, name)["ExitCode"] == 143


def test_prune_removes_what_does_not_run(docker: Any, box: Any) -> None:
    name = box()
    over = docker("run", "-d", docker.image, "true")
    docker("wait", over)
    kept = docker("create", "--label", "keep", docker.image)
    removed = docker("container", "prune", "-f", "--filter", "label!=keep")
    assert over in removed
    assert "Total reclaimed space" in removed
    assert set(docker("ps", "-aq", "--no-trunc").split()) == {
        kept,
        docker("inspect", "--format", "{{.Id}}", name),
    }
    assert kept in docker("container", "prune", "-f")
    bad = docker.run("container", "prune", "-f", "--filter", "colour=red")
    assert "invalid filter 'colour'" in bad.stderr.lower()


def test_system_prune(docker: Any, box: Any) -> None:
    name = box()
    over = docker("run", "-d", docker.image, "true")
    docker("wait", over)
    assert over in docker("system", "prune", "-f", "--volumes")
    assert docker("ps", "-a", "--format", "{{.Names}}") == name


def test_health(docker: Any) -> None:
    docker(
        *("run", "-d", "--name", "patient", "--health-cmd", "echo checked; test -e /well"),
        *("--health-interval", "200ms", "--health-retries", "2", docker.image, "sleep", "1000"),
    )
    assert state(docker, "patient")["Health"]["Status"] == "starting"
    docker.eventually(lambda: state(docker, "patient")["Health"]["Status"] == "unhealthy")
    health = state(docker, "patient")["Health"]
    assert health["FailingStreak"] >= 2
    assert health["Log"][-1]["ExitCode"] == 1
    assert health["Log"][-1]["Output"] == "checked\n"
    docker("exec", "patient", "touch", "/well")
    docker.eventually(lambda: state(docker, "patient")["Health"]["Status"] == "healthy")
    docker.eventually(lambda: len(state(docker, "patient")["Health"]["Log"]) == 5)
    assert "(healthy)" in docker("ps", "--format", "{{.Status}}")
    assert docker("ps", "-q", "--filter", "health=healthy") != ""
    assert docker("ps", "-q", "--filter", "health=unhealthy") == ""
    container = docker("inspect", "--format", "{{.Id}}", "patient")
    events = docker(
        *("events", "--since", "10m", "--until", f"{time.time():.9f}"),
        *("--filter", f"container={container}", "--format", "{{.Action}}"),
    )
    assert events.count("health_status: unhealthy") == 1
    assert events.count("health_status: healthy") == 1


def test_a_health_check_that_takes_too_long(docker: Any) -> None:
    docker(
        *("run", "-d", "--name", "slow", "--health-cmd", "sleep 777", "--health-retries", "1"),
        *("--health-interval", "100ms", "--health-timeout", "300ms"),
        *(docker.image, "sleep", "1000"),
    )
    docker.eventually(lambda: state(docker, "slow")["Health"]["Status"] == "unhealthy")
    result = state(docker, "slow")["Health"]["Log"][-1]
    assert result["ExitCode"] == -1
    assert "exceeded timeout" in result["Output"]
    docker("rm", "-f", "slow")
