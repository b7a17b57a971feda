"""Engines for tests: Cellcrate's own, in a home of its own, and Docker's, started by hand."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from certificates import make_certificates

from cellcrate_runtime.activation import engine_pid
from cellcrate_runtime.images.store import ImageStore
from cellcrate_runtime.images.subordinate import remove_tree

START_TIMEOUT = 60

#: Parameters for the fixture "engine". What dockerd and podman do for an ordinary user is not what
#: these tests are about.
EMBEDDED = "embedded"
DOCKER = pytest.param("docker", marks=[pytest.mark.root, pytest.mark.peer])
PODMAN = pytest.param("podman", marks=[pytest.mark.root, pytest.mark.peer])


@dataclass
class TestEngine:
    """An engine that cells may use.

    Attributes:
        kind: embedded, docker or podman.
        environment: What makes a kernel use it.
        folder: A folder of its own, with a short path.
        options: What every container needs here.
        port: Where it listens on the loopback, behind TLS; 0 where it does not.
    """

    kind: str
    environment: dict[str, str]
    folder: Path
    options: str = ""
    clients: list[docker.DockerClient] = field(default_factory=list)

    port: int = 0

    __test__ = False

    @property
    def certificates(self) -> Path:
        """What a client needs for TLS."""
        return self.folder / "tls"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        if self.kind != "embedded":
            return self.folder / "docker.sock"
        return self.folder / "run" / "docker.sock"

    def client(self) -> docker.DockerClient:
        """Return a client of the test's own."""
        if not self.clients:
            self.clients.append(docker.DockerClient(f"unix://{self.socket}"))
        return self.clients[0]

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.clients.clear()


@contextmanager
def embedded_engine() -> Iterator[TestEngine]:
    """Give Cellcrate's engine a home; the kernel starts it. Afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="cc-", dir="/tmp"))
    engine = TestEngine("embedded", {"CELLCRATE_HOME": str(folder)}, folder)
    try:
        yield engine
    finally:
        _remove_containers(engine)
        engine.close()
        pid = engine_pid(engine.socket)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            _wait_for_end(pid)
        remove_tree(folder)


def _remove_containers(engine: TestEngine) -> None:
    if engine_pid(engine.socket) is None:
        return
    for container in engine.client().api.containers(all=True):
        engine.client().api.remove_container(container["Id"], force=True)


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"the engine, process {pid}, does not end"
        time.sleep(0.02)


@contextmanager
def docker_engine() -> Iterator[TestEngine]:
    """Start Debian's dockerd, without a network, with the base image loaded."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed (Debian's package docker.io)")
    folder = Path(tempfile.mkdtemp(prefix="cd-", dir="/tmp"))
    engine = TestEngine(
        "docker",
        {"CELLCRATE_HOST": f"unix://{folder / 'docker.sock'}"},
        folder,
        options="--network none",
        port=_free_port(),
    )
    log = (folder / "log").open("wb")
    make_certificates(engine.certificates)
    server = engine.certificates / "server"
    daemon = subprocess.Popen(
        [
            "dockerd",
            f"--host=unix://{engine.socket}",
            f"--host=tcp://127.0.0.1:{engine.port}",
            "--tlsverify",
            f"--tlscacert={engine.certificates / 'ca.pem'}",
            f"--tlscert={server / 'cert.pem'}",
            f"--tlskey={server / 'key.pem'}",
            f"--data-root={folder / 'data'}",
            f"--exec-root={folder / 'exec'}",
            f"--pidfile={folder / 'pid'}",
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
        ],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        _wait_for_docker(engine, daemon)
        _load_base_image(engine)
        yield engine
        _remove_containers(engine)
    finally:
        engine.close()
        daemon.terminate()
        daemon.wait(START_TIMEOUT)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def podman_engine() -> Iterator[TestEngine]:
    """Start podman's service, without a network, with the base image loaded."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed (Debian's package podman)")
    folder = Path(tempfile.mkdtemp(prefix="cp-", dir="/tmp"))
    engine = TestEngine(
        "podman",
        {"CELLCRATE_HOST": f"unix://{folder / 'docker.sock'}"},
        folder,
        options="--network none",
    )
    # Without CAP_SYS_RESOURCE, limits may not be raised to what podman asks for.
    (folder / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]\n'
    )
    environment = {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "TMPDIR": str(folder),  # or it leaves the archives that it loads in /var/tmp
    }
    podman = [
        "podman",
        f"--root={folder / 'data'}",
        f"--runroot={folder / 'exec'}",
        f"--tmpdir={folder / 'tmp'}",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
    ]
    log = (folder / "log").open("wb")
    service = subprocess.Popen(
        [*podman, "system", "service", "--time=0", f"unix://{engine.socket}"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        env=environment,
        cwd=folder,  # its monitors leave files where they are
    )
    try:
        _wait_for_docker(engine, service)
        _load_base_image(engine)
        yield engine
        _remove_containers(engine)
    finally:
        engine.close()
        service.terminate()
        service.wait(START_TIMEOUT)
        log.close()
        subprocess.run([*podman, "unmount", "--all"], env=environment, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_docker(engine: TestEngine, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not engine.socket.exists() or engine_pid(engine.socket) is None:
        text = (engine.folder / "log").read_text(errors="replace")[-2000:]
        assert daemon.poll() is None, f"it ended: {text}"
        assert time.monotonic() < deadline, f"it does not listen: {text}"
        time.sleep(0.05)


def _load_base_image(engine: TestEngine) -> None:
    store = ImageStore(engine.folder / "images")
    image = store.ensure_base()
    file = engine.folder / "base.tar"
    with tarfile.open(file, "w") as archive:
        seen: set[Path] = set()
        for folder in store.lower_dirs(image):
            for path in folder.rglob("*"):
                name = path.relative_to(folder)
                if name not in seen:
                    archive.add(path, arcname=str(name), recursive=False)
                    seen.add(name)
    changes = [f"ENV {entry}" for entry in image.config.config.env or []]
    changes.append(f"CMD {json.dumps(image.config.config.cmd)}")
    engine.client().api.import_image_from_file(
        str(file), repository="cellcrate/base", tag="latest", changes=changes
    )
