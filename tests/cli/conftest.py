"""The ``cellcrate`` command, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import cellcrate_runtime
from cellcrate_runtime.cli import main

COMMAND = (sys.executable, "-m", "cellcrate_runtime")


@dataclass(frozen=True)
class Done:
    """What a command has printed."""

    stdout: str
    stderr: str


Cellcrate = Callable[..., Done]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Variables that move all state into a folder with a short name; an engine there is stopped."""
    with tempfile.TemporaryDirectory(prefix="cc-", dir="/var/tmp") as home:
        source = str(Path(cellcrate_runtime.__file__).parents[1])
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        environment = {**kept, "CELLCRATE_HOME": home, "PYTHONPATH": path}
        yield environment
        if Path(home, "run/docker.sock").exists():
            stop = [*COMMAND, "engine", "stop"]
            subprocess.run(stop, env=environment, capture_output=True, timeout=60, check=True)


@pytest.fixture
def cellcrate(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Cellcrate:
    """Run the command, in this process, and check its exit status."""

    def run(*words: str, status: int = 0, **variables: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in {**environment, **variables}.items():
                patch.setenv(name, value)
            capfd.readouterr()
            try:
                found: object = main(words)
            except SystemExit as leaving:
                found = leaving.code
        done = Done(*capfd.readouterr())
        assert found == status, done
        return done

    return run
