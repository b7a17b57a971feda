"""Making a filter smaller without changing what it decides.

libseccomp compares a call's number with each number that a rule names: 1250 instructions for
Docker's default filter. The kernel translates all of them to machine code at every container's
start, which takes a third of a millisecond. But the calls with one answer lie side by side: for
each architecture, some 150 ranges of numbers say all. So the filter is run here once for all
numbers at a time, which yields the ranges, and written anew as a binary search for the range.

What looks at a call's arguments is taken over as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from .instructions import (
    ARCHITECTURE,
    JUMP,
    JUMP_ANY_BIT,
    JUMP_EQUAL,
    JUMP_GREATER,
    JUMP_GREATER_EQUAL,
    LOAD,
    NUMBER,
    RETURN,
    Instruction,
)

__all__ = ["ranges", "shrink"]

_HIGHEST = 0xFFFFFFFF
_NO_ARCHITECTURE = 0  # no AUDIT_ARCH_* has this value
_FARTHEST = 255  # how many instructions a conditional jump can skip


class Range(NamedTuple):
    """Numbers with one outcome: the instruction that decides for all of them.

    That is a return, or the first one that loads an argument.
    """

    first: int
    last: int
    decides: int


class _NotUnderstood(Exception):
    """The filter does something that this module does not know, or is too large for it."""


def shrink(program: list[Instruction], architectures: list[int]) -> list[Instruction]:
    """Return a program that decides the same for these architectures (AUDIT_ARCH_*) and others.

    What is not understood is returned as it is.
    """
    try:
        smaller = _rewritten(program, sorted(set(architectures)))
    except _NotUnderstood:
        return program
    return smaller if len(smaller) < len(program) else program


def ranges(program: list[Instruction], architecture: int) -> list[Range]:
    """Run a program for all numbers of an architecture at once.

    Each comparison splits the numbers in two groups, which go on apart.
    """
    found: list[Range] = []
    waiting = [(0, 0, _HIGHEST, -1)]  # the next instruction, the numbers, and what was loaded
    while waiting:
        at, first, last, loaded = waiting.pop()
        code, value, if_true, if_false = program[at]
        if code == RETURN or (code == LOAD and value not in (NUMBER, ARCHITECTURE)):
            found.append(Range(first, last, at))
        elif code == LOAD:
            waiting.append((at + 1, first, last, value))
        elif code == JUMP:
            waiting.append((at + 1 + value, first, last, loaded))
        elif loaded == ARCHITECTURE and code == JUMP_EQUAL:
            skip = if_true if architecture == value else if_false
            waiting.append((at + 1 + skip, first, last, loaded))
        elif loaded == NUMBER:
            for low, high, holds in _split(code, value, first, last):
                waiting.append((at + 1 + (if_true if holds else if_false), low, high, loaded))
        else:
            raise _NotUnderstood
    return _joined(sorted(found), program)


def _split(code: int, value: int, first: int, last: int) -> list[tuple[int, int, bool]]:
    """Return the parts of a range for which a comparison holds or does not."""
    if code == JUMP_EQUAL:
        parts = [(0, value - 1, False), (value, value, True), (value + 1, _HIGHEST, False)]
    elif code == JUMP_GREATER:
        parts = [(0, value, False), (value + 1, _HIGHEST, True)]
    elif code == JUMP_GREATER_EQUAL:
        parts = [(0, value - 1, False), (value, _HIGHEST, True)]
    elif code == JUMP_ANY_BIT and value and value & (value - 1) == 0:
        # One bit: it is set in every second stretch of its own length.
        if value < 1 << 28:
            raise _NotUnderstood  # that would be many stretches
        parts = [
            (start, start + value - 1, bool(start & value)) for start in range(0, 1 << 32, value)
        ]
    else:
        raise _NotUnderstood
    clipped = ((max(low, first), min(high, last), holds) for low, high, holds in parts)
    return [part for part in clipped if part[0] <= part[1]]


def _joined(found: list[Range], program: list[Instruction]) -> list[Range]:
    """Join neighbours with one outcome; returns of one value are one outcome."""
    outcome: dict[Instruction, int] = {}
    joined: list[Range] = []
    for first, last, decides in found:
        if program[decides].code == RETURN:
            decides = outcome.setdefault(program[decides], decides)
        if joined and joined[-1].decides == decides:
            first = joined.pop().first
        joined.append(Range(first, last, decides))
    return joined


def _rewritten(program: list[Instruction], architectures: list[int]) -> list[Instruction]:
    others = ranges(program, _NO_ARCHITECTURE)
    if len(others) != 1 or program[others[0].decides].code != RETURN:
        raise _NotUnderstood
    written = [Instruction(LOAD, ARCHITECTURE)]
    for architecture in architectures:
        section = _section(program, ranges(program, architecture))
        # A section can be longer than a conditional jump is: go on by an unconditional one.
        written += [
            Instruction(JUMP_EQUAL, architecture, 1, 0),
            Instruction(JUMP, len(section)),
            *section,
        ]
    return [*written, program[others[0].decides]]


def _section(program: list[Instruction], found: list[Range]) -> list[Instruction]:
    """Return a search for the range that a number is in, and what decides about each range."""
    deciders = sorted({range_.decides for range_ in found})
    search = len(found) - 1
    start = {}
    tail: list[Instruction] = []
    for decider in deciders:
        start[decider] = 1 + search + len(tail)
        tail += _reachable(program, decider)
    section = [Instruction(LOAD, NUMBER)]
    _search(section, found, start)
    if not search:
        return tail
    return section + tail


def _search(section: list[Instruction], found: list[Range], start: dict[int, int]) -> None:
    """Add a comparison with the middle, then those of the lower half, then of the upper half."""
    if len(found) == 1:
        return
    middle = len(found) // 2
    lower, upper = found[:middle], found[middle:]
    here = len(section)
    section.append(Instruction(RETURN, 0))  # a place for the comparison
    _search(section, lower, start)
    after_lower = len(section)
    _search(section, upper, start)
    to_upper = after_lower if len(upper) > 1 else start[upper[0].decides]
    to_lower = here + 1 if len(lower) > 1 else start[lower[0].decides]
    if_true, if_false = to_upper - here - 1, to_lower - here - 1
    if max(if_true, if_false) > _FARTHEST:
        raise _NotUnderstood
    section[here] = Instruction(JUMP_GREATER_EQUAL, upper[0].first, if_true, if_false)


def _reachable(program: list[Instruction], start: int) -> list[Instruction]:
    """Return what can be reached from an instruction, and nothing else, with its jumps fitted."""
    reached: set[int] = set()
    waiting = [start]
    while waiting:
        at = waiting.pop()
        if at not in reached:
            reached.add(at)
            waiting += _next(program[at], at)
    order = sorted(reached)  # jumps lead forward only
    place = {at: number for number, at in enumerate(order)}
    return [_moved(program[at], at, place) for at in order]


def _next(instruction: Instruction, at: int) -> list[int]:
    if instruction.code == RETURN:
        return []
    if instruction.code == JUMP:
        return [at + 1 + instruction.value]
    if instruction.code & 7 == JUMP:  # the class of all jumps
        return [at + 1 + instruction.if_true, at + 1 + instruction.if_false]
    return [at + 1]


def _moved(instruction: Instruction, at: int, place: dict[int, int]) -> Instruction:
    here = place[at]
    if instruction.code == JUMP:
        return instruction._replace(value=place[at + 1 + instruction.value] - here - 1)
    if instruction.code & 7 == JUMP:
        return instruction._replace(
            if_true=place[at + 1 + instruction.if_true] - here - 1,
            if_false=place[at + 1 + instruction.if_false] - here - 1,
        )
    return instruction
