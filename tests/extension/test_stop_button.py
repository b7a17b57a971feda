"""The stop button: SIGINT to the kernel ends the container, and the cell, and leaves nothing."""

from __future__ import annotations

import time

import pytest
from engines import TestEngine
from notebook import Notebook, Running


@pytest.fixture
def start(notebook: Notebook, engine: TestEngine):
    def run(options: str, text: str) -> Running:
        return notebook.start(f"%%container {engine.options} {options}\n{text}")

    return run


def left(engine: TestEngine) -> list[str]:
    return [each["Names"][0] for each in engine.client().api.containers(all=True)]


def test_a_program_that_minds_ctrl_c_ends_in_its_own_way(start, notebook, engine):
    script = (
        "import time\n"
        "try:\n    print('ready', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('tidied up'); raise SystemExit(7)"
    )
    running = start("--python", script)
    running.until("ready")
    notebook.interrupt()
    cell = running.wait(20)
    assert "tidied up" in cell.stdout
    assert (cell.status, cell.error_name) == ("error", "ContainerInterrupted")
    assert "exit status 7" in cell.error
    assert cell.traceback[0].startswith("KeyboardInterrupt: ")
    assert len(cell.traceback) == 1
    assert left(engine) == []


def test_a_shell_that_minds_nothing_is_stopped(start, notebook, engine):
    running = start("", "echo ready; sleep 60")
    running.until("ready")
    notebook.interrupt()
    assert "exit status 137" in running.wait(20).error
    assert left(engine) == []


def test_the_stop_signal_is_tried_before_the_kill(start, notebook, engine):
    running = start(
        "--stop-signal USR1 --stop-timeout 30",
        "trap 'echo usr1; exit 9' USR1; trap 'echo int' INT; echo ready; "
        "while :; do sleep 0.1; done",
    )
    running.until("ready")
    notebook.interrupt()
    cell = running.wait(20)
    assert cell.stdout.splitlines()[-2:] == ["int", "usr1"]
    assert "exit status 9" in cell.error


def test_a_second_press_kills_at_once(start, notebook, engine):
    running = start(
        "--stop-timeout 600",
        "trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 0.1; done",
    )
    running.until("ready")
    notebook.interrupt()
    running.until("int")
    notebook.interrupt()
    cell = running.wait(20)
    assert "exit status 137" in cell.error
    assert left(engine) == []


def test_a_container_that_says_nothing_can_be_stopped(start, notebook, engine):
    running = start("--name silent", "exec > /dev/null 2>&1; sleep 60")
    deadline = time.monotonic() + 20
    while "/silent" not in left(engine):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    notebook.interrupt()
    assert running.wait(20).error_name == "ContainerInterrupted"
    assert left(engine) == []


def test_a_kept_container_is_stopped_and_kept(start, notebook, engine):
    running = start("--no-rm --name kept", "echo ready; sleep 60")
    running.until("ready")
    notebook.interrupt()
    assert "kept" in running.wait(20).error
    assert left(engine) == ["/kept"]


def test_the_next_cell_works(start, notebook, engine):
    running = start("", "echo ready; sleep 60")
    running.until("ready")
    notebook.interrupt()
    running.wait(20)
    assert start("", "echo next").wait().stdout == "next\n"
    assert notebook.run("import signal; signal.getsignal(signal.SIGINT).__name__").text == (
        "'default_int_handler'"
    )


def test_a_flood_of_output_can_be_stopped(start, notebook, engine):
    running = start("", "yes")
    running.until("y\n")
    notebook.interrupt()
    assert running.wait(30).error_name == "ContainerInterrupted"
    assert left(engine) == []
