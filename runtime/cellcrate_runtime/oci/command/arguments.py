"""A command line: options, as runc and crun have them, and words.

argparse would take longer to load than most of these commands take to run. Options are written as
Go's and the GNU's programs both do: ``--name value``, ``--name=value``, ``-n value``.
"""

from __future__ import annotations

from cellcrate_runtime.oci.command.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing has it, whose import takes longer than the rest
    from collections.abc import Sequence

__all__ = ["Arguments", "parse"]

_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")


class Arguments:
    """What was given: each option by its long name, and the words after or between them."""

    __slots__ = ("values", "words")

    def __init__(self, values: dict[str, list[str]], words: list[str]) -> None:
        self.values = values
        self.words = words

    def has(self, name: str) -> bool:
        """Whether an option was given at all, or a flag is on."""
        return bool(self.values.get(name))

    def text(self, name: str, default: str = "") -> str:
        """An option's value; the last one counts."""
        return self.values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Every value of an option that may be repeated."""
        return self.values.get(name, [])

    def number(self, name: str) -> int | None:
        """An option's value as a number; None if it was not given."""
        if name not in self.values:
            return None
        text = self.text(name)
        try:
            return int(text, 0)
        except ValueError:
            raise UsageError(f"--{name}: {text!r} is not a number") from None

    @property
    def id(self) -> str:
        """The container that the command is about, its first word."""
        return self.words[0]


def parse(given: Sequence[str], known: str, *, stop_at_word: bool = False) -> Arguments:
    """Read a command line.

    Args:
        given: The words of the command line.
        known: The options: ``all,a`` is a flag with a short name, ``bundle,b=`` takes a value.
        stop_at_word: The first word ends the options: what follows is somebody else's.

    Raises:
        UsageError: An option is unknown, or lacks its value.
    """
    takes_value: dict[str, bool] = {}
    long_names: dict[str, str] = {}
    for option in known.split():
        long, *short = option.removesuffix("=").split(",")
        takes_value[long] = option.endswith("=")
        for name in (long, *short):
            long_names[name] = long
    values: dict[str, list[str]] = {}
    words: list[str] = []
    remaining = list(given)
    while remaining:
        word = remaining.pop(0)
        if word == "--":
            words += remaining
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            if stop_at_word:
                words += remaining
                break
            continue
        written, equals, value = word.lstrip("-").partition("=")
        found = long_names.get(written)
        if found is None:
            raise UsageError(f"flag provided but not defined: {word}")
        if not takes_value[found]:
            _switch(values, found, value if equals else "true")
            continue
        if not equals:
            if not remaining:
                raise UsageError(f"flag needs an argument: {word}")
            value = remaining.pop(0)
        values.setdefault(found, []).append(value)
    return Arguments(values, words)


def _switch(values: dict[str, list[str]], name: str, value: str) -> None:
    if value.lower() in _TRUE:
        values[name] = ["true"]
    elif value.lower() in _FALSE:
        values.pop(name, None)
    else:
        raise UsageError(f"--{name}: {value!r} is neither true nor false")
