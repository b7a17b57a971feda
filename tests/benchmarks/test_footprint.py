"""What the engine and each idle container cost in memory and CPU, beside the peers' monitors."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import docker
import psutil
import pytest
from memory import private_bytes
from peers import docker_engine
from report import Table

from cellcrate_runtime.images import BASE_REFERENCE

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(300)]

CONTAINERS = 10
IDLE_SECONDS = 10


def proportional_bytes(processes: Iterable[psutil.Process]) -> float:
    """Memory of several processes that share pages, each page counted once."""
    return float(sum(process.memory_full_info().pss for process in processes))


def test_idle_containers(
    client: docker.DockerClient, engine_process: psutil.Process, show: Callable[[Table], None]
) -> None:
    containers = [
        client.containers.run(BASE_REFERENCE, ["sleep", "infinity"], detach=True)
        for _ in range(CONTAINERS)
    ]
    try:
        programs = {c.attrs["State"]["Pid"] for c in map(_reloaded, containers)}
        shims = [psutil.Process(pid).parent() for pid in programs]
        assert all(shims)
        show(
            Table(
                f"Memory of one idle container beyond its own processes ({CONTAINERS} running)",
                unit="MB",
                scale=1e-6,
                rows={"shim": [private_bytes(shim) for shim in shims if shim]},
            )
        )
        before, begin = _cpu_seconds(engine_process), time.monotonic()
        time.sleep(IDLE_SECONDS)
        share = (_cpu_seconds(engine_process) - before) / (time.monotonic() - begin)
        show(
            Table(
                f"CPU of engine, launcher and {CONTAINERS} shims, idle",
                unit="% of a core",
                scale=100,
                rows={"engine": [share]},
            )
        )
    finally:
        for container in containers:
            container.remove(force=True)


def test_idle_engine(engine_process: psutil.Process, show: Callable[[Table], None]) -> None:
    family = [engine_process, *engine_process.children()]
    show(
        Table(
            "Memory of the idle engine and its launcher (proportional set size)",
            unit="MB",
            scale=1e-6,
            rows={"engine": [proportional_bytes(family)]},
        )
    )


@pytest.mark.root
def test_docker_shims(folder: Path, show: Callable[[Table], None], base_archive: Path) -> None:
    with docker_engine(folder) as peer:
        with base_archive.open("rb") as archive:
            subprocess.run(
                peer.load, stdin=archive, env=peer.environment, check=True, capture_output=True
            )
        command = ["docker", "run", "-d", "--network=none", BASE_REFERENCE, "sleep", "infinity"]
        ids = [
            subprocess.run(
                command, env=peer.environment, check=True, capture_output=True, text=True
            ).stdout.strip()
            for _ in range(3)
        ]
        shims = [
            process
            for process in psutil.process_iter()
            if process.name().startswith("containerd-shim")
            and any(id_ in " ".join(process.cmdline()) for id_ in ids)
        ]
        assert len(shims) == len(ids)
        show(
            Table(
                "Memory of one idle container beyond its own processes, Docker's shim",
                unit="MB",
                scale=1e-6,
                rows={"containerd-shim": [private_bytes(shim) for shim in shims]},
            )
        )
        subprocess.run(
            ["docker", "rm", "-f", *ids], env=peer.environment, check=True, capture_output=True
        )


def _reloaded(container: docker.models.containers.Container) -> docker.models.containers.Container:
    container.reload()
    return container


def _cpu_seconds(engine: psutil.Process) -> float:
    """CPU time of the engine and all of its descendants that are not containers' programs."""
    family = [engine, *engine.children()]
    for launcher in engine.children():
        family += launcher.children()
    return sum(sum(process.cpu_times()[:2]) for process in family)
