"""Moments and lengths of time, in all the forms that the API accepts."""

from __future__ import annotations

import pytest

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.timestamps import SECOND


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0", 0),
        ("1700000000", 1700000000 * SECOND),
        ("1700000000.25", 1700000000 * SECOND + 250_000_000),
        ("1700000000.000000001", 1700000000 * SECOND + 1),
        ("2023-11-14T22:13:20Z", 1700000000 * SECOND),
        ("2023-11-14T23:13:20+01:00", 1700000000 * SECOND),
        ("2023-11-14T22:13:20.123456789Z", 1700000000 * SECOND + 123456789),
        ("10m", 5_000 * SECOND - 600 * SECOND),
        ("1h30m", 5_000 * SECOND - 5_400 * SECOND),
    ],
)
def test_every_form_of_a_moment_is_understood(text: str, moment: int) -> None:
    assert timestamps.parse(text, reference=5_000 * SECOND) == moment


@pytest.mark.parametrize("text", ["", "bananas", "12 bananas", "2023-13-01T00:00:00Z", "5", "m5"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(timestamps.InvalidTimeError):
        timestamps.parse_duration(text)


@pytest.mark.parametrize("text", ["", "bananas", "2023-13-01T00:00:00Z", "10 m"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(timestamps.InvalidTimeError):
        timestamps.parse(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("300ms", 300_000_000), ("-1.5h", -5400 * SECOND), ("1m30s", 90 * SECOND), ("0", 0)],
)
def test_lengths_of_time(text: str, nanoseconds: int) -> None:
    assert timestamps.parse_duration(text) == nanoseconds


def test_a_moment_survives_being_written_and_read() -> None:
    for moment in (0, 1700000000 * SECOND, 1700000000 * SECOND + 120, timestamps.now()):
        assert timestamps.parse_rfc3339(timestamps.format_rfc3339(moment)) == moment


def test_the_fixed_form_has_nine_digits_whatever_the_zone() -> None:
    assert timestamps.fixed_rfc3339("2023-11-14T22:13:20Z") == "2023-11-14T22:13:20.000000000Z"
    assert timestamps.fixed_rfc3339("2023-11-14T22:13:20.5Z") == "2023-11-14T22:13:20.500000000Z"
    shifted = timestamps.fixed_rfc3339("2023-11-14T23:13:20.5+01:00")
    assert shifted == "2023-11-14T22:13:20.500000000Z"
