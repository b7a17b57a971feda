"""kill -9 of the kernel, and of the engine: nothing is lost, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import TestEngine
from notebook import Notebook

from cellcrate_runtime.activation import engine_pid

COUNT = "for i in $(seq 30); do echo line $i; echo err $i >&2; sleep 0.1; done; exit 3"


@pytest.fixture
def notebook(new_notebook: Callable[..., Notebook], embedded: TestEngine) -> Notebook:
    return new_notebook(embedded.environment)


def names(engine: TestEngine) -> set[str]:
    found = engine.client().api.containers(all=True)
    return {each["Names"][0].lstrip("/") for each in found}


def kill_engine(engine: TestEngine) -> None:
    pid = engine_pid(engine.socket)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while engine_pid(engine.socket) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_cell_survives_the_death_of_its_engine(notebook: Notebook, embedded: TestEngine):
    running = notebook.start(f"%%container --name survivor\n{COUNT}")
    running.until("line 3\n")
    kill_engine(embedded)
    cell = running.wait(30)
    assert cell.stdout == "".join(f"line {i}\n" for i in range(1, 31))
    assert cell.stderr == "".join(f"err {i}\n" for i in range(1, 31))
    assert "exit status 3" in cell.error
    assert "survivor" not in names(embedded)


def test_a_log_that_is_followed_goes_on(notebook: Notebook, embedded: TestEngine):
    notebook.run(f"%%container -d --name logged\n{COUNT}")
    running = notebook.start("%container logs -f logged")
    running.until("line 3\n")
    kill_engine(embedded)
    assert running.wait(30).stdout == "".join(f"line {i}\n" for i in range(1, 31))
    notebook.run("%container rm -f logged")


def test_the_stop_button_works_after_the_death_of_the_engine(
    notebook: Notebook, embedded: TestEngine
):
    running = notebook.start("%%container --name stopped\necho ready; sleep 60")
    running.until("ready")
    kill_engine(embedded)
    notebook.interrupt()
    assert running.wait(30).error_name == "ContainerInterrupted"
    assert names(embedded) == set()


def test_a_cell_after_the_death_of_the_engine_starts_it(notebook: Notebook, embedded: TestEngine):
    assert notebook.run("%%container -d --name worker\necho hello; sleep 60").status == "ok"
    kill_engine(embedded)
    assert notebook.run("%container logs worker").stdout == "hello\n"
    assert notebook.run("%%container\necho next").stdout == "next\n"
    assert notebook.run("%container rm -f worker").stdout == "worker\n"


def test_the_death_of_the_kernel_removes_its_cell_and_nothing_else(
    notebook: Notebook, embedded: TestEngine
):
    notebook.run("%%container -d --name stays\nsleep 60")
    running = notebook.start("%%container --name tied\necho ready; sleep 60")
    running.until("ready")
    assert names(embedded) == {"stays", "tied"}
    os.kill(notebook.pid, signal.SIGKILL)
    running.abandon()
    wait_until(lambda: names(embedded) == {"stays"})
    embedded.client().api.remove_container("stays", force=True)


def test_a_foreign_engine_that_dies_is_named(
    new_notebook: Callable[..., Notebook], embedded: TestEngine, notebook: Notebook
):
    """Cellcrate's own engine stands for one that is somebody else's to start."""
    assert notebook.run("%container ps").status == "ok"
    foreign = new_notebook({"CELLCRATE_HOST": f"unix://{embedded.socket}"})
    running = foreign.start("%%container --name orphan\necho ready; sleep 2; exit 4")
    running.until("ready")
    kill_engine(embedded)
    cell = running.wait(30)
    assert cell.error_name == "EngineUnreachable"
    assert "went away" in cell.error
    assert len(cell.traceback) == 1
    assert notebook.run("%container rm -f orphan").stdout == "orphan\n"


def test_an_engine_that_cannot_start_says_why(
    new_notebook: Callable[..., Notebook], tmp_path: Path
):
    (tmp_path / "home").write_text("a file where a folder has to be")
    notebook = new_notebook({"CELLCRATE_HOME": str(tmp_path / "home")})
    cell = notebook.run("%%container\ntrue")
    assert cell.error_name == "EngineUnreachable"
    assert "doctor" in cell.error
    assert len(cell.traceback) == 1
