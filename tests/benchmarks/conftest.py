"""Benchmarks print; they assert no time. ``make bench`` runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import psutil
import pytest
from report import Table

from cellcrate_runtime.activation import ensure_engine
from cellcrate_runtime.images import BASE_REFERENCE


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short-named folder on disk: sockets' names are limited, and tmpfs would flatter."""
    with tempfile.TemporaryDirectory(prefix="cc-bench-", dir="/var/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def home(folder: Path) -> Iterator[Path]:
    """A CELLCRATE_HOME of this run's own; its engine is stopped at the end."""
    home = folder / "home"
    home.mkdir()
    os.environ["CELLCRATE_HOME"] = str(home)
    os.environ.pop("DOCKER_HOST", None)
    os.environ.pop("CELLCRATE_HOST", None)
    yield home
    subprocess.run([sys.executable, "-m", "cellcrate_runtime", "engine", "stop"], check=False)
    del os.environ["CELLCRATE_HOME"]


@pytest.fixture(scope="session")
def client(home: Path) -> Iterator[docker.DockerClient]:
    """A client of a running engine that has the base image."""
    client = docker.DockerClient(f"unix://{ensure_engine()}")
    client.images.pull(BASE_REFERENCE)
    yield client
    client.close()


@pytest.fixture(scope="session")
def engine_process(client: docker.DockerClient) -> psutil.Process:
    """The engine's process."""
    status = subprocess.run(
        [sys.executable, "-m", "cellcrate_runtime", "engine", "status", "--json"],
        check=True,
        capture_output=True,
    )
    return psutil.Process(json.loads(status.stdout)["pid"])


@pytest.fixture(scope="session")
def base_archive(client: docker.DockerClient, folder: Path) -> Path:
    """The base image in the form that ``docker load`` and ``podman load`` take."""
    archive = folder / "base.tar"
    subprocess.run(
        [sys.executable, "-m", "cellcrate_runtime", "image", "save", "-o", archive, BASE_REFERENCE],
        check=True,
    )
    return archive


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[Table], None]:
    """Print a table past pytest's capturing."""

    def print_table(table: Table) -> None:
        with capsys.disabled():
            print(f"\n{table}")

    return print_table
