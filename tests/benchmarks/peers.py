"""The engines that Cellcrate is compared with, started for one run and removed after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# podman asks for higher rlimits than a root without CAP_SYS_RESOURCE may have, and its default
# runtime, crun, may refuse the machine's cgroup layout.
PODMAN_RUN = [
    "--network=none",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1000:1000",
]


@dataclass(frozen=True)
class Engine:
    """A command that runs a container, up to and without the image's name."""

    name: str
    run: list[str]
    load: list[str]
    environment: dict[str, str]

    def run_command(self, image: str, *command: str) -> list[str]:
        """Return the command line that runs ``command`` in a new container and removes it."""
        return [*self.run, image, *command]


@contextmanager
def docker_engine(folder: Path) -> Iterator[Engine]:
    """Start Docker's own engine with all of its state in ``folder``, without networks."""
    if shutil.which("dockerd") is None:
        yield from ()
        return
    socket = folder / "docker.sock"
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                "dockerd",
                f"--host=unix://{socket}",
                f"--data-root={folder / 'data'}",
                f"--exec-root={folder / 'exec'}",
                f"--pidfile={folder / 'pid'}",
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
            ],
            stdout=log,
            stderr=log,
        )
    environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
    try:
        _wait_for(["docker", "version"], environment, daemon)
        yield Engine(
            name="docker",
            run=["docker", "run", "--rm", "--network=none"],
            load=["docker", "load", "--quiet"],
            environment=environment,
        )
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)


@contextmanager
def podman_engine(folder: Path) -> Iterator[Engine]:
    """Podman needs no daemon; its state goes to ``folder``."""
    base = [
        "podman",
        f"--root={folder / 'root'}",
        f"--runroot={folder / 'run'}",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
    ]
    try:
        yield Engine(
            name="podman",
            run=[*base, "run", "--rm", *PODMAN_RUN],
            load=[*base, "load", "--quiet"],
            environment=dict(os.environ),
        )
    finally:
        subprocess.run([*base, "system", "reset", "--force"], check=False, capture_output=True)


def _wait_for(
    command: list[str], environment: dict[str, str], daemon: subprocess.Popen[bytes]
) -> None:
    """Wait until ``command`` succeeds, at most 30 seconds."""
    deadline = time.monotonic() + 30
    while subprocess.run(command, env=environment, capture_output=True, check=False).returncode:
        if daemon.poll() is not None:
            raise RuntimeError(f"dockerd ended with status {daemon.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError("dockerd does not answer")
        time.sleep(0.1)
