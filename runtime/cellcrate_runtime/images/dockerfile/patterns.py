"""Patterns of paths: the wildcards of COPY, ``--exclude`` and ``.dockerignore``.

``*`` and ``?`` stand for anything but a slash, ``[a-z]`` for one of several characters, ``**`` for
any number of folders. Source: Go's filepath.Match, and moby/patternmatcher for ``**`` and for what
a pattern of folders means for the files in them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["PathMatcher", "compile_pattern", "has_wildcards"]


def has_wildcards(path: str) -> bool:
    """Whether a path has characters that mean something in a pattern."""
    return any(character in path for character in "*?[\\")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Make a regular expression that matches whole paths.

    Raises:
        ValueError: A bracket is not closed, or the pattern ends in a backslash.
    """
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 2
            while pattern.startswith("*", position):
                position += 1
            if pattern.startswith("/", position):
                position += 1
            parts.append(".*" if position >= len(pattern) else "(?:.*/)?")
            continue
        position += 1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            bracket, position = _bracket(pattern, position)
            parts.append(bracket)
        elif character == "\\":
            if position == len(pattern):
                raise ValueError("syntax error in pattern: it ends in a backslash")
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return re.compile("".join(parts), re.DOTALL)


def _bracket(pattern: str, position: int) -> tuple[str, int]:
    """Read ``[^a-z]`` from behind the opening bracket; return what it is and where it ends."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _bracket_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _bracket_character(pattern, position + 1)
        if low <= high:  # a range that is the wrong way round has nothing in it
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            ranges.append("")
    inside = "".join(ranges)
    if not inside:
        return ("[^/]" if negated else "(?!)"), position + 1
    return f"(?!/)[{'^' if negated else ''}{inside}]", position + 1


def _bracket_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character == "\\":
        position += 1
        character = pattern[position : position + 1]
    elif character in ("-", "]"):
        character = ""
    if not character:
        raise ValueError("syntax error in pattern: a bracket is not closed")
    return character, position + 1


@dataclass(frozen=True, slots=True)
class _Pattern:
    expression: re.Pattern[str]
    is_exception: bool


class PathMatcher:
    """A list of patterns, of which later ones with ``!`` take back what earlier ones matched.

    A pattern that matches a folder matches all that is in it.

    Raises:
        ValueError: One of them is no pattern.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns: list[_Pattern] = []
        for given in patterns:
            text = given.strip()
            if not text:
                continue
            is_exception = text.startswith("!")
            text = text[1:].strip() if is_exception else text
            if not text:
                raise ValueError('illegal exclusion pattern: "!"')
            cleaned = posixpath.normpath(text).lstrip("/") or "."
            self._patterns.append(_Pattern(compile_pattern(cleaned), is_exception))

    @property
    def has_exceptions(self) -> bool:
        """Whether something in a folder that matches may still not match."""
        return any(pattern.is_exception for pattern in self._patterns)

    def matches(self, path: str) -> bool:
        """Whether a path, relative and without ``.`` and ``..``, is matched."""
        paths = _with_parents(path)
        matched = False
        for pattern in self._patterns:
            if pattern.is_exception == matched and any(map(pattern.expression.fullmatch, paths)):
                matched = not pattern.is_exception
        return matched


def _with_parents(path: str) -> Sequence[str]:
    """A path and the folders that it lies in."""
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(len(names), 0, -1)]
