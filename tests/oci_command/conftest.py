"""A state folder, a root file system, and proof that nothing is left."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.oci.command.store import FILTERS
from oci import roots
from oci_command.program import Bundle, Program


@pytest.fixture(scope="session")
def rootfs() -> Iterator[Path]:
    """A root file system of this machine's programs."""
    with tempfile.TemporaryDirectory(prefix="cc-command-", dir="/var/tmp") as name:
        folder = Path(name) / "root"
        Path(name).chmod(0o755)
        roots.fill(folder)
        yield folder


@pytest.fixture(scope="session")
def document(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``spec`` writes for this user, with the root and without a terminal."""
    folder = tmp_path_factory.mktemp("spec")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    Program(folder).do("spec", "--bundle", str(folder), *rootless)
    document: dict[str, Any] = json.loads((folder / "config.json").read_text())
    document["process"]["terminal"] = False
    document["root"] = {"path": str(rootfs), "readonly": True}
    return document


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program; containers that a test leaves are removed."""
    program = Program(tmp_path / "state")
    yield program
    if program.root.exists():
        program.end_all()
    assert not program.root.exists() or {each.name for each in program.root.iterdir()} <= {FILTERS}


@pytest.fixture
def bundle(tmp_path: Path, document: dict[str, Any]) -> Bundle:
    """A bundle to be written."""
    return Bundle(tmp_path / "bundle", document)
