"""What a command of a line magic is: of ``%container``, ``%image``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cellcrate import connection
from cellcrate.cells.link import Link
from cellcrate.errors import EngineError, UsageError
from cellcrate.options import Group, Option, Parsed
from cellcrate.options.values import key_value

__all__ = [
    "Command",
    "each_container",
    "each_image",
    "filter_option",
    "filters",
    "for_each",
    "link",
    "one_container",
    "options",
    "switch",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: Its name, docker's own.
        usage: What follows the options.
        summary: What it does, in one sentence.
        run: Does it; what it returns is what the line of the notebook returns.
        groups: Its options.
        words: What its words name, for completion; the last one holds for all that follow.
        mixed: Whether options may follow words.
        aliases: Other names that docker knows it by.
    """

    name: str
    summary: str
    run: Callable[[Parsed], Any]
    usage: str = ""
    groups: tuple[Group, ...] = ()
    words: tuple[str, ...] = ()
    mixed: bool = True
    aliases: tuple[str, ...] = ()


def options(*members: Option) -> tuple[Group, ...]:
    """Return the options of a command as its only group."""
    return (Group("Options", members),)


def switch(long: str, help_: str, short: str = "") -> Option:
    """Return an option without a value."""
    return Option(long=long, short=short, help=help_)


def filter_option(help_: str) -> Option:
    """Return the option ``--filter``; :func:`filters` gives what it asked for."""
    return Option(
        long="--filter",
        short="-f",
        metavar="NAME=VALUE",
        repeat=True,
        read=key_value,
        help=help_,
    )


def filters(parsed: Parsed) -> dict[str, list[str]]:
    """Return what ``--filter`` asked for, by name."""
    wanted: dict[str, list[str]] = {}
    for name, value in parsed.get("filter", []):
        wanted.setdefault(name, []).append(value)
    return wanted


def link() -> Link:
    """Return the way to the engine."""
    return Link(connection.engine())


def one_container(parsed: Parsed, command: str) -> str:
    """Return the only word of a line, which names a container.

    Raises:
        UsageError: There are none, or more.
    """
    if len(parsed.words) != 1:
        raise UsageError(f"%container {command} needs the name of one container.")
    return parsed.words[0]


def each_container(parsed: Parsed, command: str) -> list[str]:
    """Return the words of a line, which name containers.

    Raises:
        UsageError: There are none.
    """
    if not parsed.words:
        raise UsageError(f"%container {command} needs the name of a container, or several.")
    return parsed.words


def each_image(parsed: Parsed, command: str, most: int = 0) -> list[str]:
    """Return the words of a line, which name images.

    Args:
        parsed: The line.
        command: The command, for the message.
        most: How many there may be; 0 for any number.

    Raises:
        UsageError: There are none, or more.
    """
    if not parsed.words or (most and len(parsed.words) > most):
        wanted = "the name of one image" if most == 1 else "the name of an image, or several"
        raise UsageError(f"%image {command} needs {wanted}. %image ls lists them.")
    return parsed.words


def for_each(names: list[str], action: Callable[[Any, str], str]) -> None:
    """Act on everything that is named; report failures together, after the others had their turn.

    Args:
        names: What to act on.
        action: Does it, and returns what is printed.

    Raises:
        EngineError: Some could not be acted on.
    """
    to_engine = link()
    failures: list[EngineError] = []
    for name in names:
        try:
            print(to_engine.ask(action, name))
        except EngineError as error:
            failures.append(error)
    if failures:
        raise EngineError("\n".join(map(str, failures)), failures[0].status)
