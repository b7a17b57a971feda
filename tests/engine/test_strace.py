"""strace around a program that leaves a process behind, as root and as an ordinary user."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.engine.tracing.strace import Strace, StraceMissingError
from cellcrate_runtime.engine.tracing.system_calls import records

from .conftest import eventually, runs

# As a runtime's "create": what it leaves waits, and executes a program when it is told to.
LEAVES_ONE = """
mkfifo {folder}/start
sh -c 'echo $$ > {folder}/pid.new; mv {folder}/pid.new {folder}/pid
    read line < {folder}/start; exec sh -c "sleep 1000; true"' >/dev/null 2>&1 &
while [ ! -e {folder}/pid ]; do sleep 0.01; done
exit 3
"""


@pytest.fixture
def strace() -> Iterator[Strace]:
    try:
        made = Strace()
    except StraceMissingError as error:
        pytest.skip(str(error))
    yield made
    made.end()


@pytest.fixture
def left(strace: Strace, tmp_path: Path) -> Iterator[int]:
    """A process that a watched program has left, and that still waits."""
    script = LEAVES_ONE.format(folder=tmp_path)
    command = [*strace.command, "sh", "-c", script]
    done = subprocess.run(command, start_new_session=True, timeout=60)
    assert done.returncode == 3, "the program's own exit status comes through"
    pid = int((tmp_path / "pid").read_text())
    group = os.getpgid(pid)
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def test_it_is_there_until_the_program_runs_and_no_longer(
    strace: Strace, left: int, tmp_path: Path
) -> None:
    strace.found(left)
    assert tracer(left) != 0
    (tmp_path / "start").write_text("go\n")
    assert strace.until_executed(left)
    output, watcher = strace.output(), tracer(left)
    strace.end()
    assert tracer(left) == 0
    assert runs(left)
    eventually(lambda: not runs(watcher), "strace ends")
    found = records(output, by="sh", offset=strace.offset, places={})
    assert found[0].values["arguments"][:2] == ["sh", "-c"]  # type: ignore[index]
    # What it does as that program, such as executing sleep, is not its maker's doing.
    assert found[-1].values["arguments"] == ["sh", "-c", "sleep 1000; true"]


def test_a_process_that_ends_without_a_program(strace: Strace, left: int) -> None:
    strace.found(left)
    os.kill(left, signal.SIGKILL)
    eventually(lambda: not runs(left))
    assert not strace.until_executed(left)
    strace.end()
    strace.end()


def test_nothing_is_inherited_by_the_program(strace: Strace) -> None:
    """What it says is kept in memory that the program cannot reach."""
    listing = subprocess.run(
        [*strace.command, "ls", "-l", "/proc/self/fd"], capture_output=True, text=True, timeout=60
    )
    assert "memfd" not in listing.stdout
    assert " -> " in listing.stdout


def test_without_strace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StraceMissingError, match="apt-get install strace"):
        Strace()


def tracer(pid: int) -> int:
    """Who watches a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    raise AssertionError("there is no such line")
