"""Many lives, and many that fail half-way: nothing of them stays."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from .conftest import RunningEngine, eventually

CYCLES = 200
FAULTS = 50


def descriptors(engine: RunningEngine) -> int:
    """How many the engine has open, without those of connections that docker-py keeps."""
    engine.client.close()
    return len(os.listdir(f"/proc/{engine.pid}/fd"))


def launcher(engine: RunningEngine) -> int | None:
    """The engine's only child; none while there is no launcher."""
    children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    return int(children[0]) if children else None


@pytest.mark.slow
def test_two_hundred_lives_leave_nothing(own_engine: RunningEngine) -> None:
    own_engine.run(["true"]).remove(force=True)
    before = descriptors(own_engine)
    for number in range(CYCLES):
        container = own_engine.client.containers.create(own_engine.image, ["sleep", "1000"])
        container.start()
        container.stop(timeout=0) if number % 2 else container.kill()
        container.remove()
    eventually(lambda: not own_engine.leftovers_of_containers())
    eventually(lambda: descriptors(own_engine) <= before + 2, "descriptors are closed")


def missing_program(engine: RunningEngine, folder: Path) -> None:
    """A program that the image does not have."""
    container = engine.client.containers.create(engine.image, ["/no/such/program"])
    with pytest.raises(docker.errors.APIError, match="no such file or directory"):
        container.start()
    container.remove()


def failing_mount(engine: RunningEngine, folder: Path) -> None:
    """A folder that was there when the container was created."""
    source = folder / "source"
    source.mkdir()
    container = engine.client.containers.create(engine.image, ["true"], volumes=[f"{source}:/data"])
    source.rmdir()
    with pytest.raises(docker.errors.APIError, match="source"):
        container.start()
    container.remove()


def killed_launcher(engine: RunningEngine, folder: Path) -> None:
    """The launcher is killed while it starts the container, or just before or after."""
    container = engine.client.containers.create(engine.image, ["sleep", "1000"])

    def start() -> None:
        with contextlib.suppress(docker.errors.APIError):
            container.start()

    starting = threading.Thread(target=start)
    starting.start()
    victim = launcher(engine)
    if victim is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    starting.join(timeout=60)
    assert not starting.is_alive()
    container.remove(force=True)


def client_that_leaves(engine: RunningEngine, folder: Path) -> None:
    """A client that hangs up in the middle of its wait."""
    import socket

    container = engine.run(["sleep", "1000"])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        request = f"POST /containers/{container.id}/wait HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(request.encode())
    container.remove(force=True)


@pytest.mark.slow
def test_fifty_faults_leave_nothing(own_engine: RunningEngine, tmp_path: Path) -> None:
    faults: list[Callable[[RunningEngine, Path], None]] = [
        missing_program,
        failing_mount,
        killed_launcher,
        client_that_leaves,
    ]
    before = descriptors(own_engine)
    for number in range(FAULTS):
        faults[number % len(faults)](own_engine, tmp_path)
    eventually(lambda: not own_engine.leftovers_of_containers())
    eventually(lambda: descriptors(own_engine) <= before + 4, "descriptors are closed")
    assert own_engine.run(["echo", "fine"]).wait()["StatusCode"] == 0
