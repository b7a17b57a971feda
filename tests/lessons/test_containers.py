"""The programs in real containers of an engine of the tests' own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellcrate import client, connection
from cellcrate.errors import EngineError
from cellcrate.lessons import LessonError, check, clean_up, containers, exercises, journal, measure
from cellcrate.lessons import computer as this_computer
from cellcrate.lessons.programs import PROGRAMS
from cellcrate.lessons.reports import BankSecond, GameSecond, latencies

if TYPE_CHECKING:
    from docker.models.containers import Container

MIB = 1 << 20


@pytest.fixture(scope="module")
def _engine() -> Iterator[None]:
    """An engine in a folder with a short path, stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="les-"))
    connection.forget()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CELLCRATE_HOST", "DOCKER_HOST"):
            patch.delenv(name, raising=False)
        patch.setenv("CELLCRATE_HOME", str(home))
        patch.setenv("CELLCRATE_LANGUAGE", "en")
        try:
            yield
        finally:
            connection.forget()
            stop = [sys.executable, "-m", "cellcrate_runtime", "engine", "stop"]
            subprocess.run(stop, stdout=subprocess.DEVNULL, timeout=60, check=False)
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def _limits(_engine: None) -> None:
    """Skips where this user's containers can have no limits."""
    found = this_computer()
    assert found.start_seconds is not None, found.why_not
    if not all(found.limits.values()):
        pytest.skip("no limits can be set for this user here (no delegated control group)")


def start(name: str, program: str, *arguments: str, **options: object) -> Container:
    return client().containers.run(
        "cellcrate/base",
        ["python3", f"/programs/{program}", *arguments],
        name=name,
        detach=True,
        volumes={str(PROGRAMS): {"bind": "/programs", "mode": "ro"}},
        working_dir="/tmp",
        **options,
    )


@pytest.fixture
def bank(_engine: None) -> Iterator[Container]:
    yield start("bank", "bank.py")
    clean_up("bank")


@pytest.fixture
def game(_limits: None) -> Iterator[Container]:
    """A game with a limit of half a CPU."""
    yield start("game", "game.py", "--workers", "2", cpu_quota=50_000)
    clean_up("game")


def test_reports_and_files_come_out_of_a_container(bank: Container) -> None:
    reports = containers.reports(bank)
    report = next(reports)
    assert isinstance(report, BankSecond)
    assert report.total == 100_000
    times = latencies(containers.read(bank, "latencies.jsonl"), {report.second})
    assert len(times) == report.transfers


def test_a_file_that_is_not_there_is_told(bank: Container) -> None:
    with pytest.raises(EngineError, match="nothing"):
        containers.read(bank, "nothing.txt")


@pytest.mark.usefixtures("_engine")
def test_a_container_that_is_not_there_is_told() -> None:
    with pytest.raises(LessonError, match=r"no container named casino.*cell above"):
        containers.find("casino")


def test_limits_are_what_the_engine_has_in_force(game: Container) -> None:
    assert str(containers.limits(game)) == "at most 0.5 CPU"
    game.update(cpu_shares=64, mem_limit=200 * MIB, memswap_limit=-1)
    found = containers.limits(game)
    assert (found.cpus, found.shares, found.memory) == (0.5, 64, 200 * MIB)


def test_a_limit_is_felt(game: Container) -> None:
    next(containers.reports(game))
    assert 0.02 < containers.cpus_used(game) < 0.5 * exercises.TOLERANCE


def test_bank_and_game_are_measured_by_name(bank: Container, game: Container) -> None:
    measurement = measure("bank", "game", seconds=2)
    assert measurement.kind == "containers"
    assert len(measurement.bank) == 2
    assert len(measurement.latencies) == sum(second.transfers for second in measurement.bank)
    assert measurement.frames_per_second
    assert measurement.subtitle == "the game: at most 0.5 CPU"
    assert journal.recall("containers") is measurement


@pytest.mark.usefixtures("_limits")
def test_a_game_that_eats_its_memory_is_killed_and_the_bank_goes_on(
    bank: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    start("hungry", "game.py", "--workers", "1", "--replay", "32", mem_limit=96 * MIB)
    try:
        measurement = measure("bank", "hungry", seconds=5)
    finally:
        clean_up("hungry")
    assert len(measurement.bank) == 5
    assert measurement.money_is_all_there
    assert measurement.deaths == [
        "The container hungry reached its limit of 96 MiB, and the kernel killed it."
    ]
    assert measurement.deaths[0] in capsys.readouterr().out


@pytest.mark.usefixtures("_engine")
def test_a_container_that_failed_is_told_with_its_last_words() -> None:
    broken = start("broken", "game.py", "--workers", "many")
    try:
        broken.wait()
        said = containers.last_words(broken)
    finally:
        clean_up("broken")
    assert said.startswith("The container broken has ended with status 2.")
    assert "invalid int value: 'many'" in said


class TestExercises:
    """Before the solution a check fails and says why; after it, it holds."""

    @pytest.fixture(autouse=True)
    def _measured(self, bank: Container, game: Container) -> Iterator[None]:
        next(r for r in containers.reports(game) if isinstance(r, GameSecond))
        measured = measure(bank, game, seconds=1)
        # The same two as plain processes: what they did to each other is tested elsewhere.
        slow = [30 * latency for latency in measured.latencies]
        played = [GameSecond(1, 8, 9000, 0)]
        processes = exercises.Measurement("processes", measured.bank, slow, played)
        journal.remember(processes, [])
        exercises.forget()
        yield
        exercises.forget()

    def test_turning_the_running_game_down(
        self, game: Container, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hints = []
        for _ in range(2):
            check(1)
            said = capsys.readouterr().out
            assert "not yet. The game keeps 0." in said
            hints.append(said.splitlines()[-1])
        assert hints[0] != hints[1]
        # docker-py's update() knows no --cpus, but the quota in which docker keeps it.
        game.update(cpu_quota=20_000, cpu_period=100_000)
        check(1)
        assert "Exercise 1 is solved" in capsys.readouterr().out
        assert exercises.solved() == {1}

    def test_a_new_game_in_place_of_the_old_one_is_no_solution(
        self, game: Container, capsys: pytest.CaptureFixture[str]
    ) -> None:
        game.restart(timeout=1)
        check(1)
        said = capsys.readouterr().out
        assert "started anew" in said
        assert exercises.solved() == set()

    def test_sharing_by_weight(self, game: Container, capsys: pytest.CaptureFixture[str]) -> None:
        check(2)
        assert "still has a ceiling" in capsys.readouterr().out
        game.update(cpu_quota=-1, cpu_shares=2)
        time.sleep(1)
        check(2)
        assert "Exercise 2 is solved" in capsys.readouterr().out
