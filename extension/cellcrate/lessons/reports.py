"""What the lesson's programs report: one JSON object a line, once a second."""

from __future__ import annotations

from collections.abc import Container, Sequence
from math import ceil

import msgspec

__all__ = ["LATENCIES", "BankSecond", "GameSecond", "Report", "latencies", "parse", "percentile"]


LATENCIES = "latencies.jsonl"
"""The file, in the bank's own folder, with the time of every single answer."""


class BankSecond(msgspec.Struct, tag_field="program", tag="bank", frozen=True):
    """One second of the bank.

    Attributes:
        second: Seconds since the customers came.
        transfers: How many transfers were answered.
        refused: How many of those the bank refused, for want of money.
        p50_ms: Half of all answers took no longer (milliseconds); None if there was no answer.
        p99_ms: 99 of 100 answers took no longer (milliseconds).
        total: All the money in the bank.
    """

    second: int
    transfers: int
    refused: int
    p50_ms: float | None
    p99_ms: float | None
    total: int


class Latencies(msgspec.Struct, frozen=True):
    """One line of the bank's file latencies.jsonl.

    Attributes:
        second: Seconds since the customers came.
        ms: How long each answer of that second took, in milliseconds, in order.
    """

    second: int
    ms: list[float]


class GameSecond(msgspec.Struct, tag_field="program", tag="game", frozen=True):
    """One second of the game.

    Attributes:
        second: Seconds since the game began.
        workers: How many processes compute its world.
        frames_per_second: How many frames all of them computed.
        replay_mib: Memory that the replay holds, in MiB.
    """

    second: int
    workers: int
    frames_per_second: int
    replay_mib: int = 0


Report = BankSecond | GameSecond

_decoder: msgspec.json.Decoder[BankSecond | GameSecond] = msgspec.json.Decoder(Report)


def parse(line: bytes | str) -> Report | None:
    """One line as a report; None for a line that is something else, such as a warning."""
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None


def latencies(file: bytes, seconds: Container[int]) -> list[float]:
    """The times of all answers of those seconds, out of the bank's file latencies.jsonl."""
    # The last line may be half written: the bank goes on while its file is read.
    whole, _, _ = file.rpartition(b"\n")
    lines = msgspec.json.Decoder(Latencies).decode_lines(whole)
    return [latency for line in lines if line.second in seconds for latency in line.ms]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least `percent` percent of them do not exceed.

    The nearest-rank definition: the result is always a value that was measured.

    Raises:
        ValueError: there are no values, or `percent` is not between 0 and 100.
    """
    if not values or not 0 <= percent <= 100:
        raise ValueError("a percentile needs values, and a percentage between 0 and 100")
    rank = max(1, ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]
