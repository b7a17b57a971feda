"""A ``%%container`` cell beside ``docker run`` and ``podman run``, on the same image.

All three run ``true`` in a new container without a network and remove it. The cell is measured
in an IPython shell: magic, docker-py, engine, launcher, shim and back.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from IPython.testing.globalipapp import start_ipython
from peers import Engine, docker_engine, podman_engine
from report import Table, interleaved, timed

from cellcrate_runtime.images import BASE_REFERENCE

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

LOAD_EXTENSION = """
import time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
begin = time.perf_counter()
shell.run_line_magic("load_ext", "cellcrate")
print(time.perf_counter() - begin)
"""


@pytest.mark.root
def test_cell_beside_docker_run(
    base_archive: Path, folder: Path, show: Callable[[Table], None]
) -> None:
    shell = start_ipython()
    shell.run_line_magic("load_ext", "cellcrate")

    def cell() -> None:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            shell.run_cell_magic("container", "--network none", "echo ran")
        assert output.getvalue() == "ran\n"

    with docker_engine(folder) as docker, podman_engine(folder) as podman:
        subjects: dict[str, Callable[[], float]] = {"%%container": timed(cell)}
        for peer in (docker, podman):
            with base_archive.open("rb") as archive:
                subprocess.run(
                    peer.load, stdin=archive, env=peer.environment, check=True, capture_output=True
                )
            subjects[f"{peer.name} run"] = timed(_run(peer))
        rows = interleaved(15, subjects)
    show(Table("A cell that says one word, from start to removal", rows=rows))


def _run(peer: Engine) -> Callable[[], None]:
    command = peer.run_command(BASE_REFERENCE, "sh", "-c", "echo ran")

    def run() -> None:
        done = subprocess.run(command, env=peer.environment, check=True, capture_output=True)
        assert done.stdout == b"ran\n"

    return run


def test_loading_the_extension(home: Path, show: Callable[[Table], None]) -> None:
    def load() -> float:
        done = subprocess.run(
            [sys.executable, "-c", LOAD_EXTENSION],
            env=os.environ,
            check=True,
            capture_output=True,
            text=True,
        )
        return float(done.stdout)

    times = [load() for _ in range(7)]
    assert statistics.median(times) > 0
    show(Table("%load_ext cellcrate, in a new IPython", rows={"load": times}))
