"""The lessons run from the first cell to the last, and show what they are about.

nbval runs them in a pytest of its own, with an engine of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.notebooks.lesson_files import copy

ROOT = Path(__file__).parents[2]
LESSON = "01-one-computer.ipynb"
SECONDS_FOR_A_CELL = 120

# What must have been seen when the lesson is over, with its exercises solved. No absolute times:
# the same programs on the same computer, one way and the other.
EFFECTS = """
from statistics import mean

assert together.p99 >= 1.5 * alone.p99, (alone, together)
assert contained.median < 0.75 * together.median, (together, contained)
assert mean(contained.latencies) < 0.75 * mean(together.latencies), (together, contained)
assert contained.frames_per_second < together.frames_per_second
assert all(m.money_is_all_there for m in (alone, together, contained, untouched))
assert len(untouched.deaths) == 1, untouched.deaths
assert lessons.solved() == {1, 2}, lessons.solved()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A CELLCRATE_HOME with a short path, whose engine is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="lesson-"))
    try:
        yield folder
    finally:
        subprocess.run(
            [sys.executable, "-m", "cellcrate_runtime", "engine", "stop"],
            env=environment(folder),
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        shutil.rmtree(folder, ignore_errors=True)


def environment(home: Path) -> dict[str, str]:
    """This process's, with an engine of the test's own and nobody else's settings."""
    foreign = {"CELLCRATE_HOST", "DOCKER_HOST", "CELLCRATE_LANGUAGE", "JPY_SESSION_NAME"}
    return {
        **{name: value for name, value in os.environ.items() if name not in foreign},
        "CELLCRATE_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "extension"), str(ROOT / "runtime")]),
        "IPYTHONDIR": str(home / "ipython"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }


def nbval(notebook: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook; every cell that raises is a failure."""
    (home / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--nbval-lax"),
            *("-c", str(home / "pytest.ini"), "--rootdir", str(home), "-p", "no:cacheprovider"),
            f"--nbval-cell-timeout={SECONDS_FOR_A_CELL}",
            str(notebook),
        ],
        cwd=notebook.parent,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )


def limits_work(home: Path) -> bool:
    """Whether containers of this user can have limits here, as the lesson itself finds out."""
    asked = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from cellcrate.lessons import computer\n"
            "found = computer()\n"
            "assert found.start_seconds is not None, found.why_not\n"
            "print(all(found.limits.values()))",
        ],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.strip() == "True"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_lesson_shows_its_effects_and_its_solutions_solve(home: Path) -> None:
    if not limits_work(home):
        pytest.skip("no limits can be set for this user here (no delegated control group)")
    notebook = copy("en", LESSON, home, solved=True, last_cell=EFFECTS)
    ended = nbval(notebook, home)
    if ended.returncode != 0:  # a computer has other things to do, too: one second look
        ended = nbval(notebook, home)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(500)
def test_the_korean_lesson_runs_as_it_stands(home: Path) -> None:
    ended = nbval(copy("ko", LESSON, home, solved=False), home)
    assert ended.returncode == 0, ended.stdout
