"""What an option is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Body", "Group", "Option", "Parsed", "at", "items_at", "mapping_at"]

#: A request's JSON body.
Body = dict[str, Any]
Put = Callable[[Body, Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a command line.

    Attributes:
        long: The name, with its dashes: ``--memory``.
        short: The one-letter name, with its dash: ``-m``.
        metavar: What the value is called in the documentation. An option without one is a switch.
        help: One sentence or part of one.
        read: Turns the text of a value into the value. Raises ValueError, with a sentence for a
            person, where it cannot.
        repeat: Whether the option may be given several times, all of which count.
        choices: Every value that is allowed; completion offers them.
        complete: What kind of thing a value names, for completion: ``image``, ``container``,
            ``runtime``, ``signal`` or ``path``.
        put: Places the value in the body of a request.
        aliases: Other names that docker knows it by, which the documentation leaves out.
        refused: Why the option, which docker has, cannot be used here.
    """

    long: str
    help: str
    short: str = ""
    metavar: str = ""
    read: Callable[[str], Any] = str
    repeat: bool = False
    choices: tuple[str, ...] = ()
    complete: str = ""
    put: Put | None = None
    aliases: tuple[str, ...] = ()
    refused: str = ""

    @property
    def key(self) -> str:
        """The name under which the value is found: ``memory_swap``."""
        return self.long.removeprefix("--").replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether the option takes no value."""
        return not self.metavar

    @property
    def names(self) -> tuple[str, ...]:
        """The option's names, the short one first."""
        short = (self.short,) if self.short else ()
        return (*short, self.long, *self.aliases)


@dataclass(frozen=True, slots=True)
class Group:
    """Options that belong together, under a title for the documentation."""

    title: str
    options: tuple[Option, ...]


@dataclass(slots=True)
class Parsed:
    """A command line that was understood.

    Attributes:
        values: The options that were given, by their keys.
        words: What came after the options.
        before_dashes: How many of the words stood before ``--``; None where there were no dashes.
    """

    values: dict[str, Any] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    before_dashes: int | None = None

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, default: Any = None) -> Any:
        """The value of an option, or ``default`` where it was not given."""
        return self.values.get(key, default)

    def on(self, key: str) -> bool:
        """Whether a switch is on."""
        return bool(self.values.get(key, False))


def _inside(body: Body, path: str) -> tuple[Body, str]:
    *folders, last = path.split(".")
    for name in folders:
        body = body.setdefault(name, {})
    return body, last


def at(path: str) -> Put:
    """Return a function that places a value in a body, at a dotted path."""

    def put(body: Body, value: Any) -> None:
        place, name = _inside(body, path)
        place[name] = value

    return put


def items_at(path: str) -> Put:
    """Return a function that adds values to the list at a dotted path."""

    def put(body: Body, values: Iterable[Any]) -> None:
        place, name = _inside(body, path)
        place.setdefault(name, []).extend(values)

    return put


def mapping_at(path: str) -> Put:
    """Return a function that adds (key, value) pairs to the object at a dotted path."""

    def put(body: Body, pairs: Iterable[tuple[str, Any]]) -> None:
        place, name = _inside(body, path)
        place.setdefault(name, {}).update(pairs)

    return put
