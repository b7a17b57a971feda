"""dockerd and containerd's shim, with this runtime beside their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oci_command.program import MODULE, RUNTIME

pytestmark = [pytest.mark.root, pytest.mark.peer]

_TIMEOUT = 60  # seconds
_OWN_NAME = ["--runtime=cellcrate-oci", "--network=none"]
_IMAGE = "programs"


class Docker:
    """dockerd with all of its state in one folder, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/socket"}
        runtime = folder / "cellcrate-oci"
        runtime.write_text(
            f'#!/bin/sh\nexport PYTHONPATH={RUNTIME}\nexec {" ".join(MODULE)} "$@"\n'
        )
        runtime.chmod(0o755)
        self.log = (folder / "log").open("wb")
        self.daemon = subprocess.Popen(
            [
                "dockerd",
                f"--host=unix://{folder}/socket",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--add-runtime=cellcrate-oci={runtime}",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call the client, and return what it wrote and left with."""
        return subprocess.run(
            ["docker", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )

    def do(self, *words: str) -> str:
        """Call it for something that has to work, and return what it wrote."""
        done = self.call(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a container that ends, with options and then a program."""
        options = [word for word in words if word.startswith("--")]
        return self.call("run", "--rm", *_OWN_NAME, *options, _IMAGE, *words[len(options) :])

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _TIMEOUT
        while self.call("version").returncode:
            said = (self.folder / "log").read_text()[-300:]
            if self.daemon.poll() is not None:
                pytest.skip(f"dockerd does not start here: {said}")
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def end(self) -> None:
        """Remove the containers, and end it."""
        if self.daemon.poll() is None:
            for container in self.do("ps", "--all", "--quiet").split():
                self.call("rm", "--force", container)
            self.daemon.terminate()
            self.daemon.wait(_TIMEOUT)
        self.log.close()


@pytest.fixture(scope="module")
def docker(rootfs: Path) -> Iterator[Docker]:
    """Docker, with an image of this machine's programs."""
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        pytest.skip("dockerd is not installed (Debian's package docker.io)")
    with tempfile.TemporaryDirectory(prefix="cd-", dir="/tmp") as name:
        folder = Path(name)
        docker = Docker(folder)
        try:
            docker.wait_until_ready()
            with tarfile.open(folder / "image.tar", "w") as tar:
                tar.add(rootfs, arcname=".")
            docker.do("import", f"{folder}/image.tar", _IMAGE)
            yield docker
        finally:
            docker.end()
        assert name not in Path("/proc/self/mountinfo").read_text()


@pytest.fixture
def running(docker: Docker) -> Iterator[str]:
    """A container that runs until it is removed."""
    script = "trap 'exit 9' TERM; echo said; while :; do sleep 0.02; done"
    options = [*_OWN_NAME, "--name=c1", "--memory=64m", "--ipc=shareable"]
    docker.do("run", "--detach", *options, _IMAGE, "sh", "-c", script)
    while docker.do("logs", "c1") != "said":
        time.sleep(0.02)
    yield "c1"
    docker.do("rm", "--force", "c1")


def test_run_gives_output_and_status(docker: Docker) -> None:
    done = docker.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert docker.run("--tty", "tty").stdout.strip() == "/dev/pts/0"


def test_a_missing_program_is_127_and_a_folder_126(docker: Docker) -> None:
    missing = docker.run("nosuch")
    assert missing.returncode == 127
    assert "cellcrate-oci create failed" in missing.stderr
    assert docker.run("/etc").returncode == 126


def test_exec_logs_and_top(docker: Docker, running: str) -> None:
    done = docker.call("exec", running, "sh", "-c", "echo inside; exit 6")
    assert (done.returncode, done.stdout) == (6, "inside\n")
    assert docker.do("exec", "--tty", running, "tty") == "/dev/pts/0"
    assert docker.do("exec", "--user=1000", "--workdir=/tmp", running, "pwd") == "/tmp"
    assert docker.do("logs", running) == "said"
    assert "trap" in docker.do("top", running)


def test_stats_pause_and_update(docker: Docker, running: str) -> None:
    stats = json.loads(docker.do("stats", "--no-stream", "--format={{json .}}", running))
    assert stats["MemUsage"].endswith("/ 64MiB")
    docker.do("pause", running)
    assert docker.do("inspect", "--format={{.State.Status}}", running) == "paused"
    docker.do("unpause", running)
    docker.do("update", "--memory=128m", "--memory-swap=128m", running)
    stats = json.loads(docker.do("stats", "--no-stream", "--format={{json .}}", running))
    assert stats["MemUsage"].endswith("/ 128MiB")


def test_stop_start_and_kill(docker: Docker, running: str) -> None:
    docker.do("stop", "--time=20", running)
    assert docker.do("inspect", "--format={{.State.ExitCode}}", running) == "9"
    docker.do("start", running)
    docker.do("kill", running)
    assert docker.do("wait", running) == "137"


def test_the_namespaces_of_another_container(docker: Docker, running: str) -> None:
    shared = [f"--{kind}=container:{running}" for kind in ("pid", "ipc", "network")]
    options = ["--runtime=cellcrate-oci", *shared]
    said = docker.do("run", "--rm", *options, _IMAGE, "cat", "/proc/1/cmdline")
    assert said.startswith("sh\0-c\0trap")


def test_what_runs_is_fenced_in(docker: Docker) -> None:
    script = "touch /file; grep CapEff /proc/self/status; mkdir /data/new"
    done = docker.run("--read-only", "--cap-drop=all", "--tmpfs=/data", "sh", "-c", script)
    assert done.stdout.split() == ["CapEff:", "0000000000000000"]
    assert "Read-only file system" in done.stderr
    assert docker.run("--memory=20m", "tail", "/dev/zero").returncode == 137
