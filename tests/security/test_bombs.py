"""What grows without end meets its limit, and the machine does not notice."""

from __future__ import annotations

import shutil
from typing import Any

import docker
import pytest

from engine.conftest import RunningEngine

from .attacker import TOOLS, attack, victim

FORK_BOMB = """
import signal
started = 0
while started < 1000:
    try:
        if os.fork() == 0:
            while True:
                signal.pause()
    except OSError as error:
        tell([started, errno.errorcode[error.errno]])
        break
    started += 1
os.kill(-1, 9)
"""


@pytest.mark.usefixtures("limits")
def test_a_fork_bomb(engine: RunningEngine) -> None:
    bystander = victim(engine)
    started, refusal = attack(engine, FORK_BOMB, pids_limit=20)
    assert refusal == "EAGAIN"
    assert started <= 19
    assert bystander.exec_run(["true"]).exit_code == 0


@pytest.mark.usefixtures("limits")
def test_a_bomb_that_is_joined_counts_too(engine: RunningEngine) -> None:
    container = victim(engine, pids_limit=10)
    done = container.exec_run(["python3", "-c", TOOLS + FORK_BOMB])
    assert b"EAGAIN" in done.output
    container.reload()
    assert container.status == "running"  # its first process is not signalled by its own


MEMORY_BOMBS = {
    "the heap": "hoard = [b'x' * (1 << 20) for _ in range(200)]",
    "shared memory": "open('/dev/shm/bomb', 'wb').write(bytes(60 << 20))",
    "a file system in memory": "open('/t/bomb', 'wb').write(bytes(100 << 20))",
    "memfd_create": "os.write(os.memfd_create('bomb'), bytes(100 << 20))",
}


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("kind", MEMORY_BOMBS)
def test_a_memory_bomb(engine: RunningEngine, kind: str) -> None:
    container = engine.run(
        ["python3", "-c", f"import os; {MEMORY_BOMBS[kind]}"],
        mem_limit="32m",
        memswap_limit="32m",
        tmpfs={"/t": "size=200m"},
    )
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"]


FILL = """
def fill(folder):
    written = 0
    try:
        with open(f"{folder}/big", "wb", buffering=0) as file:
            while written < 1 << 28:
                written += file.write(bytes(1 << 16))
    except OSError as error:
        os.unlink(f"{folder}/big")
        return written, errno.errorcode[error.errno]

def crowd(folder):
    files = 0
    try:
        while files < 1000:
            os.close(os.open(f"{folder}/{files}", os.O_CREAT | os.O_WRONLY))
            files += 1
    except OSError as error:
        return files, errno.errorcode[error.errno]
"""


def test_a_bomb_of_bytes_and_one_of_inodes(engine: RunningEngine) -> None:
    before = shutil.disk_usage(engine.paths.data)
    options: dict[str, Any] = {"tmpfs": {"/t": "size=1m,nr_inodes=50"}, "read_only": True}
    bytes_, inodes = attack(engine, FILL + "tell([fill('/t'), crowd('/t')])", **options)
    assert bytes_ == [1 << 20, "ENOSPC"]
    assert inodes[0] < 50
    assert inodes[1] == "ENOSPC"
    assert shutil.disk_usage(engine.paths.data).free > before.free - (64 << 20)


def test_the_file_systems_that_everybody_has_are_limited(engine: RunningEngine) -> None:
    for written, refusal in attack(engine, FILL + "tell([fill('/dev/shm'), fill('/dev')])"):
        assert written <= 64 << 20
        assert refusal == "ENOSPC"


def test_a_flood_of_descriptors(engine: RunningEngine) -> None:
    program = """
held = []
try:
    while len(held) < 5000:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    tell(errno.errorcode[error.errno])
"""
    limit = docker.types.Ulimit(name="nofile", soft=64, hard=64)
    assert attack(engine, program, ulimits=[limit]) == "EMFILE"
