"""Patterns of ``*`` and ``?`` in the substitutions ``${X#p}``, ``${X%p}`` and ``${X/p/r}``.

They are matched by following all possibilities at once, so that no pattern takes longer than its
length times that of the value. Source: POSIX.1-2017, Shell Command Language, 2.13; as in BuildKit,
without bracket expressions.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Glob"]

_STAR = "*"
_ANY = "?"


class Glob:
    """One pattern.

    Args:
        pattern: As it is written; a backslash takes the meaning of ``*``, ``?`` and itself away,
            and is dropped before ``}`` and ``/``, which only the substitution gives a meaning.

    Raises:
        ValueError: Something else is escaped.
    """

    def __init__(self, pattern: str) -> None:
        # A star and a question mark are marked; all else is a character that must be there.
        self._tokens: list[tuple[str, bool]] = []
        characters = iter(pattern)
        for character in characters:
            if character != "\\":
                self._tokens.append((character, character in (_STAR, _ANY)))
                continue
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\}/":
                raise ValueError(f"invalid escape '\\{escaped}'")
            self._tokens.append((escaped, False))

    def cut_prefix(self, value: str, *, longest: bool) -> str:
        """Take the shortest or the longest match off the beginning."""
        ends = _ends(self._tokens, value)
        if not ends:
            return value
        return value[ends[-1] if longest else ends[0] :]

    def cut_suffix(self, value: str, *, longest: bool) -> str:
        """Take the shortest or the longest match off the end."""
        ends = _ends(self._tokens[::-1], value[::-1])
        if not ends:
            return value
        return value[: len(value) - (ends[-1] if longest else ends[0])]

    def replace(self, value: str, replacement: str, *, everywhere: bool) -> str:
        """Replace the first and there the longest match, or all that do not overlap."""
        result: list[str] = []
        position = 0
        while position <= len(value):
            ends = _ends(self._tokens, value[position:])
            if not ends:
                result.append(value[position : position + 1])
                position += 1
                continue
            result.append(replacement)
            if not everywhere:
                return "".join([*result, value[position + ends[-1] :]])
            if not ends[-1]:
                # Nothing is matched, as by an empty pattern: go on behind the next character.
                result.append(value[position : position + 1])
            position += max(ends[-1], 1)
        return "".join(result)


def _ends(tokens: Sequence[tuple[str, bool]], value: str) -> list[int]:
    """All lengths of beginnings of ``value`` that the tokens match, in ascending order."""
    states = _with_stars(tokens, {0})
    found = [0] if len(tokens) in states else []
    for length, character in enumerate(value, 1):
        following: set[int] = set()
        for state in states:
            if state == len(tokens):
                continue
            token, is_wild = tokens[state]
            if is_wild and token == _STAR:
                following.add(state)
            elif is_wild or token == character:
                following.add(state + 1)
        states = _with_stars(tokens, following)
        if not states:
            break
        if len(tokens) in states:
            found.append(length)
    return found


def _with_stars(tokens: Sequence[tuple[str, bool]], states: set[int]) -> set[int]:
    """Add where one gets to by letting stars stand for nothing."""
    reached = set(states)
    for state in states:
        while state < len(tokens) and tokens[state] == (_STAR, True):
            state += 1
            reached.add(state)
    return reached
