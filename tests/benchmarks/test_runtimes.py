"""The same cell by the embedded runtime and by the programs that this machine has."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable

import docker
import psutil
import pytest
from IPython.testing.globalipapp import start_ipython
from memory import private_bytes
from report import Table, interleaved, timed

from cellcrate_runtime.images import BASE_REFERENCE

pytestmark = [pytest.mark.benchmark, pytest.mark.root, pytest.mark.timeout(300)]

RUNTIMES = ["cellcrate", *(name for name in ("crun", "runc", "youki") if shutil.which(name))]
ROUNDS = 15
CONTAINERS = 5


def test_a_cell_by_each_runtime(client: docker.DockerClient, show: Callable[[Table], None]) -> None:
    shell = start_ipython()
    shell.run_line_magic("load_ext", "cellcrate")

    def cell(runtime: str) -> None:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            shell.run_cell_magic("container", f"--network none --runtime {runtime}", "echo ran")
        assert output.getvalue() == "ran\n"

    rows = interleaved(ROUNDS, {name: timed(lambda name=name: cell(name)) for name in RUNTIMES})
    show(Table("%%container --runtime NAME, from start to removal", rows=rows))


def test_memory_by_each_runtime(client: docker.DockerClient, show: Callable[[Table], None]) -> None:
    rows = {name: _memory_of_shims(client, name) for name in RUNTIMES}
    title = "Memory of one idle container beyond its own processes, by runtime"
    show(Table(title, unit="MB", scale=1e-6, rows=rows))


def _memory_of_shims(client: docker.DockerClient, runtime: str) -> list[float]:
    containers = [
        client.containers.run(BASE_REFERENCE, ["sleep", "infinity"], detach=True, runtime=runtime)
        for _ in range(CONTAINERS)
    ]
    try:
        for container in containers:
            container.reload()
        programs = [psutil.Process(each.attrs["State"]["Pid"]) for each in containers]
        shims = [program.parent() for program in programs]
        return [private_bytes(shim) for shim in shims if shim is not None]
    finally:
        for container in containers:
            container.remove(force=True)
