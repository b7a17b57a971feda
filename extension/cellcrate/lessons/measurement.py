"""Measure how long the bank's customers wait, and how fast the game runs meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from cellcrate.lessons import containers, journal
from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.programs import Process
from cellcrate.lessons.reports import (
    LATENCIES,
    BankSecond,
    GameSecond,
    Report,
    latencies,
    percentile,
)
from cellcrate.lessons.words import say

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["OPENING_MONEY", "Measurement", "measure", "observe"]

OPENING_MONEY = 100_000  # bank.py: ACCOUNTS * OPENING_BALANCE
PATIENCE_SECONDS = 15  # a bank that says nothing for so long is given up
GLANCE_SECONDS = 0.05  # how often the arrivals are looked at


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was seen while the programs ran.

    Attributes:
        kind: "processes" or "containers".
        bank: The bank's seconds.
        latencies: How long every transfer of them took, in milliseconds, in order.
        game: The game's seconds; empty if it was not measured.
        game_limits: The limits of the game's container; None for a process.
        deaths: How the programs ended that did not live as long as the measurement.
    """

    kind: str
    bank: list[BankSecond]
    latencies: list[float]
    game: list[GameSecond] = field(default_factory=list)
    game_limits: containers.Limits | None = None
    deaths: list[str] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Half of all transfers took no longer than this (milliseconds)."""
        return percentile(self.latencies, 50)

    @property
    def p99(self) -> float:
        """99 of 100 transfers took no longer than this (milliseconds)."""
        return percentile(self.latencies, 99)

    @property
    def frames_per_second(self) -> float | None:
        """The game's speed: the median over its seconds; None if it was not measured."""
        return median(s.frames_per_second for s in self.game) if self.game else None

    @property
    def money_is_all_there(self) -> bool:
        """Whether the bank's accounts always added up to the money that was put in."""
        return all(second.total == OPENING_MONEY for second in self.bank)

    @property
    def title(self) -> str:
        """What was measured, in the learner's language."""
        return say("title_with_game" if self.game else "title_alone", kind=say(self.kind))

    @property
    def subtitle(self) -> str:
        """The limits of the game; empty where that means nothing."""
        return say("game_limits", limits=self.game_limits) if self.game_limits else ""

    def __repr__(self) -> str:
        return say(
            "measured",
            title=self.title,
            transfers=len(self.latencies),
            median=f"{self.median:.1f}",
            p99=f"{self.p99:.1f}",
        )


def measure(*sources: Process | Container | str, seconds: int = 6) -> Measurement:
    """Watch running programs for some seconds, and print each second as it passes.

    Args:
        sources: The bank, and the game if it runs: processes, containers, or containers' names.
        seconds: How many whole seconds of the bank to keep. The second that is under way when
            the measurement begins is not among them.

    Raises:
        LessonError: no bank is among the sources, or it ended meanwhile.
    """
    programs = [containers.find(s) if isinstance(s, str) else s for s in sources]
    measurement = observe(programs, seconds)
    journal.remember(measurement, [p for p in programs if not isinstance(p, Process)])
    print(measurement)
    return measurement


def observe(programs: Sequence[Process | Container], seconds: int) -> Measurement:
    """Do what `measure` does, without keeping the result for the exercises.

    Raises:
        LessonError: no bank is among the programs, or it ended meanwhile.
    """
    followers = [_Follower(program) for program in programs]
    record = _Record()
    try:
        record.watch(followers, seconds)
    finally:
        for follower in followers:
            follower.stop()
    bank = next(f for f in followers if f.kind is BankSecond)
    return Measurement(
        kind="processes" if isinstance(programs[0], Process) else "containers",
        bank=record.bank,
        latencies=latencies(bank.read(LATENCIES), {second.second for second in record.bank}),
        game=record.game,
        game_limits=next((f.limits for f in followers if f.kind is GameSecond), None),
        deaths=record.deaths,
    )


class _Follower:
    """A thread that reads one program's reports; it prints nothing itself."""

    def __init__(self, program: Process | Container) -> None:
        self.kind: type[Report] | None = None
        self.limits = None if isinstance(program, Process) else containers.limits(program)
        self._program = program
        self._arrived: list[Report] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        reports: Iterator[Report] = (
            self._program.reports()
            if isinstance(self._program, Process)
            else containers.reports(self._program)
        )
        with suppress(Exception):  # an engine that went away: the obituary will tell
            for number, report in enumerate(reports):
                if self._stopped.is_set():
                    return
                self.kind = type(report)
                if number:  # the first one covers a second that was already under way
                    with self._lock:
                        self._arrived.append(report)

    def take(self) -> list[Report]:
        """The reports that arrived since the last call."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
        return arrived

    def stop(self) -> None:
        """Let the thread end with the next report."""
        self._stopped.set()

    @property
    def ended(self) -> bool:
        """Whether the program has ended, and all its reports were taken."""
        return not (self._thread.is_alive() or self._arrived or self._stopped.is_set())

    def read(self, name: str) -> bytes:
        """A file in the folder that the program runs in."""
        if isinstance(self._program, Process):
            return self._program.read(name)
        return containers.read(self._program, name)

    def obituary(self) -> str:
        """How the program ended."""
        if isinstance(self._program, Process):
            return f"{self._program}\n{self._program.complaints}".rstrip()
        return containers.last_words(self._program)


class _Record:
    """The seconds of a measurement, kept and printed as they come."""

    def __init__(self) -> None:
        self.bank: list[BankSecond] = []
        self.game: list[GameSecond] = []
        self.deaths: list[str] = []

    def watch(self, followers: list[_Follower], seconds: int) -> None:
        """Return when the bank has reported so many seconds."""
        living = list(followers)
        heard = time.monotonic()
        while len(self.bank) < seconds:
            time.sleep(GLANCE_SECONDS)
            for follower in list(living):
                for report in follower.take():
                    self._keep(report)
                    if isinstance(report, BankSecond):
                        heard = time.monotonic()
                if follower.ended:
                    living.remove(follower)
                    self._mourn(follower)
            if not living or time.monotonic() - heard > PATIENCE_SECONDS:
                raise LessonError("\n".join([say("no_bank"), *self.deaths]))
        del self.bank[seconds:]

    def _keep(self, report: Report) -> None:
        if isinstance(report, GameSecond):
            self.game.append(report)
            return
        self.bank.append(report)
        print(_line(len(self.bank), report, self.game[-1] if self.game else None))

    def _mourn(self, follower: _Follower) -> None:
        obituary = follower.obituary()
        if follower.kind is BankSecond:
            raise LessonError(say("bank_ended", how=obituary))
        self.deaths.append(obituary)
        print(obituary)


def _line(number: int, bank: BankSecond, game: GameSecond | None) -> str:
    """One second, in one line."""
    if bank.p50_ms is None:
        return say("second_without", number=number)
    line = say(
        "second",
        number=f"{number:2}",
        transfers=f"{bank.transfers:3}",
        median=f"{bank.p50_ms:6.1f}",
        p99=f"{bank.p99_ms:6.1f}",
    )
    if game is not None:
        line += say("second_game", frames=f"{game.frames_per_second:7,}")
        if game.replay_mib:
            line += say("second_replay", mib=f"{game.replay_mib:4}")
    if bank.total != OPENING_MONEY:
        line += say("second_money", total=f"{bank.total:,}", right=f"{OPENING_MONEY:,}")
    return line
