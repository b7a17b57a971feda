"""What the programs say, and what is made of it."""

from __future__ import annotations

import json

import pytest

from cellcrate.lessons.reports import BankSecond, GameSecond, latencies, parse, percentile

BANK = {
    "program": "bank",
    "second": 3,
    "transfers": 2,
    "refused": 0,
    "p50_ms": 1.5,
    "p99_ms": 2.5,
    "total": 100_000,
}


def test_a_line_of_the_bank_becomes_a_report() -> None:
    report = parse(json.dumps(BANK))
    assert isinstance(report, BankSecond)
    assert (report.p50_ms, report.p99_ms) == (1.5, 2.5)


def test_a_second_without_an_answer_has_no_percentiles() -> None:
    report = parse(json.dumps({**BANK, "transfers": 0, "p50_ms": None, "p99_ms": None}))
    assert isinstance(report, BankSecond)
    assert report.p50_ms is None


def test_latencies_of_some_seconds_are_found_even_while_the_bank_writes() -> None:
    file = b'{"second": 1, "ms": [1, 2]}\n{"second": 2, "ms": [3]}\n{"second": 3, "ms": [4'
    assert latencies(file, {1, 2, 3}) == [1, 2, 3]
    assert latencies(file, {2}) == [3]
    assert latencies(b"", {1}) == []


def test_a_line_of_the_game_becomes_a_report() -> None:
    line = b'{"program":"game","second":1,"workers":8,"frames_per_second":9000}'
    assert parse(line) == GameSecond(1, 8, 9000, replay_mib=0)


@pytest.mark.parametrize("line", ["", "Warning: hot", "{}", '{"program": "chess"}', "[1, 2]"])
def test_any_other_line_is_no_report(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 10), (20, 10), (21, 20), (50, 30), (99, 50), (100, 50)]
)
def test_a_percentile_is_a_measured_value(percent: float, expected: float) -> None:
    assert percentile([50, 10, 40, 20, 30], percent) == expected


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_a_percentile_of_nothing_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)
