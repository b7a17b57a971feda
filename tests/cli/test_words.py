"""Sizes, times and tables read as docker's do."""

from __future__ import annotations

import time

import pytest

from cellcrate_runtime.cli.words import ago, duration, size, table


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (999.7, "1kB"),
        (1000, "1kB"),
        (1990, "1.99kB"),
        (63_447_227, "63.4MB"),
        (999_999_999, "1GB"),
        (2.5e15, "2.5e+03TB"),
    ],
)
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (3600, "60 minutes"),
        (7200, "2 hours"),
        (86400, "24 hours"),
        (3 * 86400, "3 days"),
        (400 * 86400, "13 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_spans_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_how_long_ago() -> None:
    assert ago(time.time() - 7300) == "2 hours ago"
    assert ago(time.time() + 1000) == "less than a second ago"
    assert ago(0) == "N/A"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(["A", "LONG"], [["wide", "x"], ["y", ""]]) == "A      LONG\nwide   x\ny"
