"""Each command of ``cellcrate-oci``, runc and crun, as Podman and containerd call them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from report import Table, interleaved, timed
from test_start import Bundle, one_cgroup_version, rootfs

__all__ = ["one_cgroup_version", "rootfs"]  # fixtures, found by their names

pytestmark = [pytest.mark.benchmark, pytest.mark.root, pytest.mark.timeout(300)]

ROUNDS = 20
PATIENCE = 10.0  # seconds

# The first round, which is not measured, leaves compiled modules, as an installer does.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


class Life:
    """One container after the other, by one runtime; :attr:`COMMANDS` are called in this order."""

    COMMANDS = ("create", "state", "start", "exec", "kill", "delete", "run")

    def __init__(self, command: list[str], bundle: Path, short: Bundle) -> None:
        self.command = command
        self.bundle = bundle
        self.short = short
        self.name = f"benchmark-{os.getpid()}"
        self.pid_file = bundle / "pid"

    def call(self, *words: str) -> float:
        """Call the runtime, and return how many seconds that took."""
        done: list[subprocess.CompletedProcess[bytes]] = []
        with (self.bundle / "output").open("w+b") as output:
            seconds = timed(lambda: done.append(self._run(words, output.fileno())))()
            output.seek(0)
            assert done[0].returncode == 0, output.read().decode()
        return seconds

    def _run(self, words: tuple[str, ...], output: int) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.command, *words],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )

    def create(self) -> float:
        return self.call(
            "create", f"--bundle={self.bundle}", f"--pid-file={self.pid_file}", self.name
        )

    def state(self) -> float:
        return self.call("state", self.name)

    def start(self) -> float:
        return self.call("start", self.name)

    def exec(self) -> float:
        return self.call("exec", self.name, "true")

    def kill(self) -> float:
        return self.call("kill", self.name, "KILL")

    def delete(self) -> float:
        """Wait until what was killed has ended, and measure its removal alone."""
        deadline = time.monotonic() + PATIENCE
        while _lives(int(self.pid_file.read_text())):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self.call("delete", self.name)

    def run(self) -> float:
        return self.call("run", f"--bundle={self.short.folder}", self.short.name())


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_commands_of_a_containers_life(
    one_cgroup_version: None, rootfs: Path, folder: Path, show: Callable[[Table], None]
) -> None:
    runtimes = {
        "cellcrate-oci": [str(Path(sys.executable).with_name("cellcrate-oci"))],
        "crun": ["crun", "--cgroup-manager=cgroupfs"],
        "runc": ["runc"],
    }
    lives = {
        name: _life(folder / "commands" / name, rootfs, command)
        for name, command in runtimes.items()
    }
    subjects = {
        f"{command}, {name}": getattr(life, command)
        for command in Life.COMMANDS
        for name, life in lives.items()
    }
    measured = interleaved(ROUNDS, subjects)
    for command in Life.COMMANDS:
        rows = {name: measured[f"{command}, {name}"] for name in lives}
        show(Table(command, rows=rows))
    shutil.rmtree(folder / "commands")


def _life(folder: Path, rootfs: Path, command: list[str]) -> Life:
    folder.mkdir(parents=True)
    long = Bundle.make(folder / "long", rootfs, cgroup=True)
    long.execute("sleep", "1000")
    short = Bundle.make(folder / "short", rootfs, cgroup=True)
    for number, bundle in enumerate((long, short)):
        bundle.move_cgroup(f"/cellcrate/benchmark-{os.getpid()}-{folder.name}-{number}")
    return Life([*command, f"--root={folder / 'state'}"], long.folder, short)
