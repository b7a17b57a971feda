"""`docker exec`."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_output_errors_and_exit_status_come_back(docker: Any, box: Any) -> None:
    done = docker.run("exec", box(), "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_the_exit_status_is_right_every_time(docker: Any, box: Any) -> None:
    # The client asks for it at the same moment as the engine hears of it.
    name = box()
    for status in range(1, 21):
        assert docker.run("exec", name, "sh", "-c", f"exit {status}").returncode == status


def test_input_goes_in(docker: Any, box: Any) -> None:
    name = box()
    data = bytes(range(256)) * 4096
    assert docker.bytes("exec", "-i", name, "cat", input=data) == data
    assert docker("exec", name, "cat", input="nobody reads this") == ""


def test_environment_user_and_directory(docker: Any, box: Any) -> None:
    name = box("-e", "A=container", "-e", "B=container", "-w", "/tmp", "--hostname", "cell")
    show = 'echo "$A|$B|$(id -u)|$PWD|$HOSTNAME|${TERM-none}"'
    assert docker("exec", name, "sh", "-c", show) == "container|container|0|/tmp|cell|none"
    changed = docker(*("exec", "-e", "B=exec", "-u", "77:88", "-w", "/usr", name, "sh", "-c", show))
    assert changed == "container|exec|77|/usr|cell|none"


def test_the_user_of_the_container_is_the_execs(docker: Any, box: Any) -> None:
    name = box("-u", "1234")
    assert docker("exec", name, "id", "-u") == "1234"


def test_it_has_the_walls_of_the_container(docker: Any, box: Any) -> None:
    name = box("--cap-drop", "ALL")
    for program in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"):
        line = ("grep", program, "/proc/self/status")
        assert docker("exec", name, *line) == docker(
            "exec", name, "grep", program, "/proc/1/status"
        )
    assert "000000000" in docker("exec", name, "grep", "CapEff", "/proc/self/status")
    privileged = docker("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status")
    assert int(privileged.split()[1], 16) > 0xFFFFFFFF


def test_detached(docker: Any, box: Any) -> None:
    name = box()
    assert docker("exec", "-d", name, "sh", "-c", "echo here > /made; sleep 1000") == ""
    docker.eventually(lambda: docker.run("exec", name, "cat", "/made").stdout == "here\n")
    assert "sleep 1000" in docker("top", name)


@pytest.mark.parametrize(("program", "status"), [("no-such-program", 127), ("/etc", 126)])
def test_what_cannot_be_run(docker: Any, box: Any, program: str, status: int) -> None:
    name = box()
    done = docker.run("exec", name, program)
    assert done.returncode == status
    assert program in done.stdout + done.stderr
    detached = docker.run("exec", "-d", name, program)
    assert detached.returncode != 0
    assert program in detached.stderr


def test_a_user_that_there_is_not(docker: Any, box: Any) -> None:
    done = docker.run("exec", "-u", "nobody-has-this-name", box(), "true")
    assert done.returncode != 0
    assert "nobody-has-this-name" in done.stdout + done.stderr


@pytest.mark.root  # freezing needs a control group
def test_in_what_is_paused(docker: Any, box: Any) -> None:
    name = box()
    docker("pause", name)
    done = docker.run("exec", name, "true")
    assert done.returncode == 1
    assert "is paused, unpause the container before exec" in done.stderr
    docker("unpause", name)
    assert docker.run("exec", name, "true").returncode == 0


def test_in_what_does_not_run(docker: Any, box: Any) -> None:
    name = box()
    docker("kill", name)
    ended = docker.run("exec", name, "true")
    assert ended.returncode == 1
    assert "is not running" in ended.stderr


def test_execs_are_in_inspect_and_die_with_their_container(docker: Any, box: Any) -> None:
    name = box()
    assert json.loads(docker("inspect", name))[0]["ExecIDs"] is None
    process = docker.start("exec", name, "sh", "-c", "echo up; sleep 1000")
    assert process.stdout.readline() == "up\n"
    assert len(json.loads(docker("inspect", name))[0]["ExecIDs"]) == 1
    docker("kill", name)
    assert process.wait() == 137
