"""podman run, create, start, stop: programs, their streams and how they end."""

from __future__ import annotations

import json

import pytest

from oci_command.podman.client import IMAGE, Podman


def test_run_gives_output_and_status(podman: Podman) -> None:
    done = podman.try_run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_the_runtime_is_this_one(podman: Podman) -> None:
    info = json.loads(podman.do("info", "--format=json"))["host"]["ociRuntime"]
    assert info["path"] == str(podman.runtime)
    assert info["version"].startswith("cellcrate-oci version")


def test_a_missing_program_is_127_and_a_folder_126(podman: Podman) -> None:
    missing = podman.try_run("nosuch")
    assert missing.returncode == 127
    assert "executable file not found in $PATH" in missing.stderr
    assert podman.try_run("/etc").returncode == 126


def test_what_the_runtime_refuses_is_said_in_its_words(podman: Podman) -> None:
    done = podman.try_run("--sysctl=net.ipv4.ip_forward=word", "true")
    assert done.returncode == 126
    assert "ip_forward" in done.stderr
    assert "level=error" not in done.stderr  # the message alone, and not a line of a log


def test_run_with_a_terminal(podman: Podman) -> None:
    options = ["run", "--rm", "--interactive", "--tty", "--network=none", IMAGE]
    script = "tty; read word; echo got $word; exit 5"
    status, seen = podman.in_terminal(*options, "sh", "-c", script, types=b"keys\r")
    assert b"/dev/pts/0" in seen
    assert b"got keys" in seen
    assert status == 5


def test_input_reaches_the_program(podman: Podman) -> None:
    options = ["run", "--rm", "--interactive", "--network=none", IMAGE]
    done = podman.call(*options, "sh", given="echo read; exit 3\n")
    assert (done.returncode, done.stdout) == (3, "read\n")


def test_where_and_with_what_it_runs(podman: Podman) -> None:
    options = ["--workdir=/home/alice", "--env=WORD=there", '--entrypoint=["sh", "-c"]']
    assert podman.run(*options, "pwd; echo $WORD").split() == ["/home/alice", "there"]


def test_a_created_container_is_started_later_and_again(podman: Podman) -> None:
    podman.do("create", "--name=c2", "--network=none", IMAGE, "sh", "-c", "echo said; exit 4")
    for _ in range(2):
        done = podman.call("start", "--attach", "c2")
        assert (done.returncode, done.stdout) == (4, "said\n")
    assert podman.inspect("c2", ".State.ExitCode") == "4"
    assert podman.do("logs", "c2") == "said\nsaid\n"
    podman.do("rm", "c2")


def test_stop_start_and_restart(podman: Podman, running: str) -> None:
    podman.do("stop", "--time=20", running)
    assert podman.inspect(running, ".State.ExitCode") == "9"
    podman.do("start", running)
    assert podman.inspect(running, ".State.Status") == "running"
    before = podman.inspect(running, ".State.Pid")
    podman.do("restart", "--time=20", running)
    assert podman.inspect(running, ".State.Pid") != before


def test_a_killed_container_says_by_what(podman: Podman, running: str) -> None:
    podman.do("kill", "--signal=KILL", running)
    assert podman.do("wait", running) == "137\n"


def test_a_first_process_that_reaps(podman: Podman) -> None:
    done = podman.try_run("--init", "sh", "-c", "cat /proc/1/cmdline; exit 4")
    assert done.returncode == 4
    assert done.stdout.startswith("/run/podman-init\0")


@pytest.mark.parametrize("option", ["--systemd=always", "--cgroups=disabled"])
def test_it_runs_with(podman: Podman, option: str) -> None:
    assert podman.run(option, "echo", "ran") == "ran\n"
