"""Measuring running processes, and the effect that the lesson is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cellcrate.lessons import (
    LessonError,
    compare,
    free_port,
    journal,
    measure,
    process,
    stop_processes,
)
from cellcrate.lessons.containers import Limits
from cellcrate.lessons.measurement import Measurement
from cellcrate.lessons.reports import BankSecond, GameSecond

SECOND = BankSecond(1, 3, 0, 2.0, 3.0, total=100_000)
ROBBED = BankSecond(2, 3, 0, 2.0, 3.0, total=1_100_000)


@pytest.fixture(autouse=True)
def english_and_clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CELLCRATE_LANGUAGE", "en")
    yield
    stop_processes()


class TestMeasurement:
    def test_is_about_the_transfers_of_all_seconds(self) -> None:
        measurement = Measurement("processes", [SECOND, SECOND], [3, 1, 2, 100, 4])
        assert measurement.median == 3
        assert measurement.p99 == 100

    def test_tells_the_games_usual_speed(self) -> None:
        game = [GameSecond(n, 8, speed, 0) for n, speed in enumerate((10, 3000, 3100))]
        assert Measurement("processes", [SECOND], [1], game).frames_per_second == 3000
        assert Measurement("processes", [SECOND], [1]).frames_per_second is None

    def test_notices_money_that_nobody_paid_in(self) -> None:
        assert Measurement("processes", [SECOND], [1]).money_is_all_there
        assert not Measurement("processes", [SECOND, ROBBED], [1]).money_is_all_there

    def test_names_what_was_measured_and_under_which_limits(self) -> None:
        game = [GameSecond(1, 8, 3000, 0)]
        limits = Limits(cpus=0.5, shares=None, memory=256 << 20)
        measurement = Measurement("containers", [SECOND], [1], game, limits)
        assert measurement.title == "Bank and game (containers)"
        assert measurement.subtitle == "the game: at most 0.5 CPU, at most 256 MiB of memory"


def test_a_game_beside_the_bank_makes_its_customers_wait(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The lesson's phenomenon, for real. A busy machine gets a second chance."""
    for _ in range(2):
        bank = process("bank.py", "--port", free_port(0))
        alone = measure(bank, seconds=3)
        game = process("game.py", "--port", free_port(0))
        together = measure(bank, game, seconds=3)
        stop_processes()
        if together.p99 >= 1.5 * alone.p99:
            break
    assert together.p99 >= 1.5 * alone.p99
    assert together.frames_per_second
    assert alone.money_is_all_there
    assert together.money_is_all_there
    assert journal.recall("processes") is together
    said = capsys.readouterr().out
    assert "frames" in said
    assert "99 of 100 at most" in said
    assert f"{compare(alone, together).ratio(together):.1f}" in repr(compare(alone, together))


def test_a_bank_that_ends_meanwhile_is_an_error_that_says_how() -> None:
    bank = process("bank.py", "--port", free_port(0))
    bank.stop()
    with pytest.raises(LessonError, match="ended with status 0"):
        measure(bank, seconds=2)


def test_a_game_that_ends_meanwhile_is_told_and_the_bank_is_measured_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bank = process("bank.py", "--port", free_port(0))
    game = process("game.py", "--workers", 1, "--port", free_port(0))
    game.stop()
    measurement = measure(bank, game, seconds=2)
    assert len(measurement.bank) == 2
    assert len(measurement.deaths) == 1
    assert measurement.deaths[0] in capsys.readouterr().out


def test_without_a_bank_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cellcrate.lessons.measurement.PATIENCE_SECONDS", 1)
    game = process("game.py", "--workers", 1, "--port", free_port(0))
    with pytest.raises(LessonError, match="The bank says nothing"):
        measure(game, seconds=1)
