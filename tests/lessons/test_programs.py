"""The programs as processes of a kernel: started, watched, stopped, and never left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest

from cellcrate.lessons import LessonError, free_port, process, stop_processes
from cellcrate.lessons.programs import PROGRAMS, scratch_folder
from cellcrate.lessons.reports import BankSecond


@pytest.fixture(autouse=True)
def english_and_clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")
    yield
    stop_processes()


def test_a_process_starts_reports_and_stops(capsys: pytest.CaptureFixture[str]) -> None:
    bank = process("bank.py", "--port", free_port(0))
    assert bank.running
    assert f"process {bank.pid}, running" in capsys.readouterr().out
    assert isinstance(next(bank.reports()), BankSecond)
    family = psutil.Process(bank.pid).children(recursive=True)
    bank.stop()
    assert bank.status == 0
    assert psutil.wait_procs(family, timeout=10)[1] == []
    bank.stop()  # once more does no harm


def test_a_port_that_is_taken_is_told_in_the_programs_own_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        game = process("game.py", "--port", taken.getsockname()[1])
    assert not game.running
    said = capsys.readouterr().out
    assert "EADDRINUSE" in said
    assert "ended with status 1" in said


def test_running_a_cell_again_replaces_the_process() -> None:
    port = free_port(0)
    first = process("bank.py", "--port", port)
    second = process("bank.py", "--port", port)
    assert not first.running
    assert second.running


def test_stopping_everything_leaves_no_process_and_no_folder() -> None:
    bank = process("bank.py", "--port", free_port(0))
    folder = scratch_folder()
    assert (folder / "accounts.db").exists()
    assert stop_processes() == [bank.command]
    assert not bank.running
    assert not folder.exists()
    assert stop_processes() == []


def test_an_unknown_program_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LessonError, match=r"chess\.py.*bank\.py, cheat\.py, game\.py"):
        process("chess.py")


def test_a_program_that_hears_no_signal_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellcrate.lessons.programs.SECONDS_TO_STOP", 0.3)
    bank = process("bank.py", "--port", free_port(0))
    family = psutil.Process(bank.pid).children(recursive=True)
    psutil.Process(bank.pid).suspend()
    bank.stop()
    assert bank.status == -signal.SIGKILL
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_reports_end_with_the_program() -> None:
    bank = process("bank.py", "--port", free_port(0))
    reports = bank.reports()
    assert len(list(islice(reports, 1))) == 1
    bank.stop()
    assert len(list(reports)) <= 1


def test_a_cheat_in_the_same_folder_reaches_the_banks_books(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bank = process("bank.py", "--port", free_port(0))
    process("cheat.py")
    assert "millionaire" in capsys.readouterr().out
    total = next(report.total for report in bank.reports() if isinstance(report, BankSecond))
    assert total == 1_100_000


def test_a_cheat_elsewhere_finds_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    said = subprocess.run(
        [sys.executable, str(PROGRAMS / "cheat.py")],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert "there is no accounts.db" in said.stdout


def test_no_process_outlives_a_killed_kernel(tmp_path: Path) -> None:
    """The program's output has no reader any more, and that ends it."""
    kernel = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time\n"
            "from cellcrate.lessons import free_port, process\n"
            "process('game.py', '--workers', 1, '--port', free_port(0))\n"
            "print('ready', flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        env={
            "PYTHONPATH": ":".join(sys.path),
            "CELLCRATE_LANGUAGE": "en",
            "TMPDIR": str(tmp_path),
        },
    )
    assert kernel.stdout is not None
    with kernel.stdout as output:
        while output.readline() != b"ready\n":
            pass
        family = psutil.Process(kernel.pid).children(recursive=True)
        kernel.kill()
        kernel.wait()
    assert len(family) == 2
    assert psutil.wait_procs(family, timeout=15)[1] == []
