"""The packed base image runs under other engines: it is an image like any other."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from cellcrate_runtime.images import BASE_REFERENCE, ImageStore

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="Engines with state of their own are started by root alone."
    ),
]
PROGRAM = "import sqlite3, ssl, sys; print(sys.version_info.major, sqlite3.connect(':memory:'))"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: engines put sockets into theirs."""
    with tempfile.TemporaryDirectory(prefix="cc-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def archive(base_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base image, saved."""
    path = tmp_path_factory.mktemp("saved") / "base.tar"
    with path.open("wb") as file:
        base_store.save([BASE_REFERENCE], file)
    return path


@pytest.mark.skipif(shutil.which("podman") is None, reason="There is no podman on this machine.")
def test_podman_loads_and_runs_it(archive: Path, base_store: ImageStore, short_path: Path) -> None:
    def podman(*words: str) -> str:
        command = ["podman", "--root", f"{short_path}/root", "--runroot", f"{short_path}/run"]
        command += ["--storage-driver", "overlay", "--runtime", "runc"]
        command += ["--cgroup-manager", "cgroupfs", "--events-backend", "none", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        assert BASE_REFERENCE in podman("load", "--input", str(archive))
        assert podman("images", "--no-trunc", "--quiet").split() == [
            base_store.get(BASE_REFERENCE).id
        ]
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
        program = ["--network", "none", BASE_REFERENCE, "python3", "-c", PROGRAM]
        assert podman("run", "--rm", *limits, *program).startswith("3 <sqlite3")
    finally:
        podman("rmi", "--all", "--force")
        # The store's own mount, which podman leaves for the next command.
        subprocess.run(["umount", f"{short_path}/root/overlay"], capture_output=True, check=False)


@pytest.fixture
def dockerd(short_path: Path) -> Iterator[docker.DockerClient]:
    """A Docker Engine with state of its own."""
    if shutil.which("dockerd") is None:
        pytest.skip("There is no dockerd on this machine.")
    socket_path, log_path = short_path / "docker.sock", short_path / "log"
    command = ["dockerd", "--host", f"unix://{socket_path}", "--data-root", f"{short_path}/data"]
    command += ["--exec-root", f"{short_path}/exec", "--pidfile", f"{short_path}/pid"]
    command += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(socket_path, process, log_path)
            client = docker.DockerClient(f"unix://{socket_path}", version="auto")
            yield client
            client.close()
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _wait_for(path: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody listens on a socket."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(path))
                return
            except OSError:
                time.sleep(0.1)
    pytest.skip(f"dockerd does not start here: {log.read_text()[-300:]}")


def test_docker_loads_it_and_we_load_what_it_saves(
    dockerd: docker.DockerClient, archive: Path, base_store: ImageStore, tmp_path: Path
) -> None:
    with archive.open("rb") as file:
        [image] = dockerd.images.load(file)
    ours = base_store.get(BASE_REFERENCE)
    assert image.tags == [BASE_REFERENCE]
    assert image.id == ours.id
    back = tmp_path / "back.tar"
    with back.open("wb") as file:
        file.writelines(image.save(named=True))
    other = ImageStore(tmp_path / "other")
    with back.open("rb") as file:
        [loaded] = other.load(file)
    assert (loaded.image_id, loaded.reference) == (ours.id, BASE_REFERENCE)
    assert other.get(BASE_REFERENCE).diff_ids == ours.diff_ids
