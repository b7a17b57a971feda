"""What follows a keyword: words, pairs, JSON arrays and flags."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from cellcrate_runtime.images.dockerfile.errors import DockerfileError, suggestion
from cellcrate_runtime.images.dockerfile.instructions import Command, Pair
from cellcrate_runtime.images.dockerfile.statements import Statement

__all__ = ["Flags", "command", "json_words", "pairs", "plain_words", "quoted_words"]

_BLANKS = re.compile(r"[\t\v\f\r ]+")


class Flags:
    """The flags of a statement.

    Args:
        statement: Whose.
        known: Those that it may have with a value.
        switches: Those that it may have without one.
        repeatable: Those of ``known`` that it may have several times.

    Raises:
        DockerfileError: One is unknown, has no value, or is there twice.
    """

    def __init__(
        self,
        statement: Statement,
        known: Collection[str] = (),
        switches: Collection[str] = (),
        repeatable: Collection[str] = (),
    ) -> None:
        self._values: dict[str, list[str]] = {}
        for flag in statement.flags:
            name, equals, value = flag.removeprefix("--").partition("=")
            if name not in known and name not in switches:
                near = suggestion(name, [*known, *switches])
                raise DockerfileError(f"unknown flag: --{name}{near}")
            if name in known and not equals:
                raise DockerfileError(f"missing a value on flag: --{name}")
            if name in self._values and name not in repeatable:
                raise DockerfileError(f"duplicate flag specified: --{name}")
            if name in switches:
                value = _switch(name, value if equals else "true")
            self._values.setdefault(name, []).append(value)

    def get(self, name: str) -> str:
        """The value of a flag, the empty string without it."""
        return self._values.get(name, [""])[-1]

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a flag that may be there several times."""
        return tuple(self._values.get(name, ()))

    def is_on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.get(name) == "true"

    def switch(self, name: str) -> bool | None:
        """Whether a switch is on or off; None where nothing is said of it."""
        return self.get(name) == "true" if name in self._values else None


def _switch(name: str, value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise DockerfileError(
            f"expecting boolean value for flag {name}, not: {value}. It can be true or false"
        )
    return value.lower()


def json_words(text: str) -> list[str] | None:
    """The words of a JSON array; None where the text is none.

    Raises:
        DockerfileError: It is an array of something else than strings.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    try:
        "".join(found).encode()
    except UnicodeEncodeError:
        return None  # half of a surrogate pair is no character
    return list(found)


def command(text: str) -> Command:
    """A command in the exec form, or in the shell form if it is no JSON array."""
    words = json_words(text)
    if words is not None:
        return Command(tuple(words), shell=False)
    return Command((text,) if text else (), shell=True)


def plain_words(text: str) -> list[str]:
    """Split at blanks, whether they are quoted or not."""
    return [word for word in _BLANKS.split(text) if word]


def quoted_words(text: str, escape: str) -> list[str]:
    """Split at blanks that are neither quoted nor escaped; quotes and escapes stay."""
    words: list[str] = []
    word, quote, begun = "", "", False
    characters = iter(text)
    for character in characters:
        if character == escape and quote != "'":
            following = next(characters, "")
            word += character + following if following else ""
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote, begun = character, True
        elif character.isspace():
            if word or begun:
                words.append(word)
            word, begun = "", False
            continue
        word += character
    return [*words, word] if word or begun else words


def pairs(text: str, escape: str, keyword: str) -> tuple[Pair, ...]:
    """The pairs of ENV and LABEL: ``name=value ...``, or of old ``name value``.

    Raises:
        DockerfileError: There is a word without ``=``, or a name without a value.
    """
    words = quoted_words(text, escape)
    if not words:
        raise DockerfileError(f"{keyword} requires at least one argument")
    if "=" not in words[0]:
        parts = _BLANKS.split(text, maxsplit=1)
        if len(parts) < 2:
            raise DockerfileError(f"{keyword} must have two arguments")
        return ((parts[0], parts[1]),)
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value'
            )
        if not name:
            raise DockerfileError(f"{keyword} names can not be blank")
        found.append((name, value))
    return tuple(found)
