"""``cellcrate engine`` and ``cellcrate env``, with a real engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.conftest import COMMAND, Cellcrate


def test_an_engine_is_started_shown_and_stopped(
    cellcrate: Cellcrate, environment: dict[str, str]
) -> None:
    socket = f"{environment['CELLCRATE_HOME']}/run/docker.sock"
    assert "not running" in cellcrate("engine", "status", status=3).stdout
    assert json.loads(cellcrate("engine", "status", "--json", status=3).stdout) == {
        "running": False,
        "socket": socket,
    }
    assert cellcrate("env", "--shell", "sh").stdout == f"export DOCKER_HOST=unix://{socket}\n"
    status = json.loads(cellcrate("engine", "status", "--json").stdout)
    assert status["running"]
    assert status["socket"] == socket
    assert os.readlink(f"/proc/{status['pid']}/cwd") == "/"
    assert (status["containersRunning"], status["containers"]) == (0, 0)
    shown = cellcrate("engine", "status").stdout
    assert f"process     {status['pid']}" in shown
    assert "containers  0 running, 0 in all" in shown
    assert json.loads(cellcrate("version", "--json").stdout)["engine"].startswith(status["version"])
    assert "already" in cellcrate("engine", "run", status=1).stderr
    assert "has left" in cellcrate("engine", "stop").stdout
    assert not Path(socket).exists()
    cellcrate("engine", "status", status=3)
    assert "not running" in cellcrate("engine", "stop").stdout


def test_an_engine_in_the_foreground_serves_where_it_is_told(
    environment: dict[str, str],
) -> None:
    socket = Path(environment["CELLCRATE_HOME"], "own.sock")
    command = [*COMMAND, "engine", "run", "--socket", str(socket)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 30
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert socket.stat().st_mode & 0o777 == 0o600
        finally:
            process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        log = process.stderr.read()
        assert process.wait(30) == 0
        assert f"serving on {socket}" in log
        assert "Traceback" not in log
    assert not socket.exists()


@pytest.mark.parametrize(
    ("shell", "start"),
    [
        ("/bin/bash", "export DOCKER_HOST="),
        ("/usr/bin/fish", "set -gx DOCKER_HOST "),
        ("/bin/tcsh", "setenv DOCKER_HOST "),
        ("", "export DOCKER_HOST="),
    ],
)
def test_the_line_is_in_the_shells_own_words(cellcrate: Cellcrate, shell: str, start: str) -> None:
    assert cellcrate("env", SHELL=shell).stdout.startswith(start)


def test_docker_is_pointed_at_the_engine(environment: dict[str, str]) -> None:
    if shutil.which("docker") is None:
        pytest.skip("There is no docker command on this machine.")
    script = f'eval "$({" ".join(COMMAND)} env)" && docker version --format "{{{{.Server.Os}}}}"'
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "linux\n", done.stderr


def test_an_engine_that_cannot_start_says_where_its_log_is(
    cellcrate: Cellcrate, environment: dict[str, str]
) -> None:
    # The name of the socket is longer than a socket's name may be; see unix(7).
    home = f"{environment['CELLCRATE_HOME']}/{'long-' * 25}"
    done = cellcrate("env", status=1, CELLCRATE_HOME=home)
    assert done.stderr.startswith("cellcrate: ")
    assert done.stdout == ""
