"""Other programs that make, keep and run images, each with state of its own; as root."""

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

import pytest

TIMEOUT = 110  # seconds; nothing here takes more than a few on a machine at rest
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


def need(program: str, package: str = "") -> None:
    """Skip the test where a program is missing."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian's package {package or program})")


def call(*command: str | Path, **options: object) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return str(done.stdout)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name, where overlayfs works: engines put sockets into theirs."""
    with tempfile.TemporaryDirectory(prefix="cc-", dir="/var/tmp") as folder:
        yield Path(folder)


class Podman:
    """Podman and buildah, who share their images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        self._storage += ["--storage-driver", "overlay"]
        # Where they keep the caches of builds, which would be left in /var/tmp.
        self._environment = {**os.environ, "TMPDIR": str(folder)}

    def __call__(self, *words: str) -> str:
        """Call podman."""
        options = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return call("podman", *self._storage, *options, *words, env=self._environment)

    def run(self, *words: str) -> str:
        """Run a container to its end."""
        return self("run", "--rm", *LIMITS, "--network", "none", *words)

    def buildah(self, *words: str) -> str:
        """Call buildah; return what it prints, without the last line end."""
        said = call("buildah", *self._storage, *words, env=self._environment)
        return said.removesuffix("\n")

    def close(self) -> None:
        """Remove everything."""
        self.buildah("rm", "--all")
        self("rmi", "--all", "--force")
        # The store's own mount, which podman leaves for the next command.
        subprocess.run(["umount", f"{self.folder}/root/overlay"], capture_output=True, check=False)


@contextlib.contextmanager
def podman() -> Iterator[Podman]:
    """Podman and buildah with an empty store."""
    need("podman")
    need("buildah")
    with short_folder() as folder:
        peer = Podman(folder)
        try:
            yield peer
        finally:
            peer.close()


class Docker:
    """The docker command for a Docker Engine of its own."""

    def __init__(self, socket_path: Path) -> None:
        self.host = f"unix://{socket_path}"
        self.socket = socket_path

    def __call__(self, *words: str) -> str:
        """Call it; return what it prints, without the last line end."""
        environment = {**os.environ, "DOCKER_HOST": self.host}
        return call("/usr/bin/docker", *words, env=environment).removesuffix("\n")

    def run(self, *words: str) -> str:
        """Run a container to its end."""
        return self("run", "--rm", "--network", "none", *words)


@contextlib.contextmanager
def dockerd() -> Iterator[Docker]:
    """A Docker Engine with an empty store."""
    need("dockerd", "docker.io")
    with short_folder() as folder:
        socket_path, log_path = folder / "docker.sock", folder / "log"
        command = ["dockerd", "--host", f"unix://{socket_path}", "--data-root", f"{folder}/data"]
        command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        command += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
        with (
            log_path.open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as process,
        ):
            try:
                _wait_for(socket_path, process, log_path)
                yield Docker(socket_path)
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
