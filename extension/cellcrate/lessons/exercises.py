"""Exercises, checked by their effect: any way to get there is right.

A check that fails says what it saw, and gives a hint; each further try gives the next hint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellcrate.errors import CellcrateError
from cellcrate.lessons import containers, journal
from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.measurement import Measurement, observe
from cellcrate.lessons.words import catalogue, language, say

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = ["check", "forget", "solved"]

FIFTH = 0.2
TOLERANCE = 1.3  # a quota is kept on average; a short look at it sees a little more or less
CALM = 0.6  # of the waiting that the bank's customers had when both were plain processes
SECONDS = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check saw.

    Attributes:
        solved: Whether the exercise is solved.
        seen: What the check saw, in the learner's language.
        doubtful: Whether a second look might see something else.
    """

    solved: bool
    seen: str
    doubtful: bool = False


_tries: Counter[int] = Counter()
_solved: set[int] = set()


def check(number: int) -> None:
    """Look whether an exercise is solved, and say what was seen.

    Raises:
        LessonError: there is no such exercise.
    """
    if number not in EXERCISES:
        raise LessonError(say("no_exercise", number=number, last=max(EXERCISES)))
    try:
        verdict = EXERCISES[number]()
    except CellcrateError as obstacle:
        print(say("exercise_not_yet", number=number, seen=obstacle))
        return
    if verdict.solved:
        _solved.add(number)
        print(say("exercise_solved", number=number, seen=verdict.seen))
        print(say("exercise_count", solved=len(_solved), all=len(EXERCISES)))
        return
    _tries[number] += 1
    print(say("exercise_not_yet", number=number, seen=verdict.seen))
    hints = [
        sentence
        for key, sentence in sorted(catalogue(language()).items())
        if key.startswith(f"hint_{number}_")
    ]
    print(say("exercise_hint", hint=hints[min(_tries[number], len(hints)) - 1]))


def solved() -> frozenset[int]:
    """The exercises that were solved since the kernel started."""
    return frozenset(_solved)


def forget() -> None:
    """Begin anew: no exercise is solved, no hint was given."""
    _tries.clear()
    _solved.clear()


def _turned_down() -> Verdict:
    """Exercise 1: the running game gets at most a fifth of a CPU."""
    game = _same_game()
    used = containers.cpus_used(game)
    limits = containers.limits(game)
    seen = say("saw_cpus", used=f"{used:.2f}", limits=limits)
    # On a busy computer a game with no such limit may also get little, but only for now.
    kept = limits.cpus is not None and limits.cpus <= FIFTH
    return Verdict(kept and used <= FIFTH * TOLERANCE, seen)


def _shared_out() -> Verdict:
    """Exercise 2: the game gets what the bank leaves over, and the bank stays calm."""
    game = _same_game()
    crowded = _recall("processes")
    programs = [containers.find("bank"), game]
    verdict = _judge_sharing(programs, crowded)
    # A computer has other things to do, too, and they may have made the customers wait.
    return _judge_sharing(programs, crowded) if verdict.doubtful else verdict


def _judge_sharing(programs: list[Container], crowded: Measurement) -> Verdict:
    before = containers.times_held_back(programs[-1])
    now = observe(programs, SECONDS)
    held_back = containers.times_held_back(programs[-1]) - before
    if held_back:
        return Verdict(False, say("saw_ceiling", times=held_back, seconds=SECONDS))
    seen = say(
        "saw_sharing",
        frames=f"{now.frames_per_second or 0:,.0f}",
        p99=f"{now.p99:.1f}",
        crowded=f"{crowded.p99:.1f}",
    )
    calm = now.p99 <= CALM * crowded.p99
    return Verdict(calm, seen, doubtful=not calm)


def _same_game() -> Container:
    """The game's container, which must be the one that was measured, never restarted."""
    game = containers.find("game")
    if game.status != "running":
        raise LessonError(containers.last_words(game))
    if not containers.can_be_limited(game):
        raise LessonError(say("no_limits"))
    if journal.life_of(game) != journal.measured_life("game"):
        raise LessonError(say("another_game"))
    return game


def _recall(kind: str) -> Measurement:
    measurement = journal.recall(kind)
    if measurement is None:
        raise LessonError(say("not_measured", kind=say(kind)))
    return measurement


EXERCISES: dict[int, Callable[[], Verdict]] = {1: _turned_down, 2: _shared_out}
