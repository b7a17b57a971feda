"""From a magic's line to options and words, with the habits of docker's command line.

Options end at the first word that is none (so that ``%%container alpine ls -l`` leaves ``-l`` to
``ls``) or at ``--``. One-letter switches combine (``-it``); a value may be joined to its option
(``-m64m``, ``-m=64m``, ``--memory=64m``) or follow it; a switch may be turned off (``--rm=false``).
These are the rules of the pflag library, which docker is made with (pflag, README, "Command line
flag syntax"). argparse has other habits: it accepts abbreviations, and finds options among words.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Sequence

from cellcrate.errors import UsageError
from cellcrate.options.option import Group, Option, Parsed

__all__ = ["parse", "split"]

TRUE = {"1", "t", "true"}
FALSE = {"0", "f", "false"}


def split(line: str) -> list[str]:
    """Split a line into words as a shell would, quotes removed.

    Raises:
        UsageError: A quotation is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(
            f"The line cannot be split into words: {str(error).lower()}. "
            "Quote an apostrophe, as in \"it's\", or write it as \\'."
        ) from None


def parse(
    words: Sequence[str], groups: Iterable[Group], command: str, *, mixed: bool = False
) -> Parsed:
    """Read options from the front of a command line.

    Args:
        words: The command line, split.
        groups: The options that the command has.
        command: The command's name, for messages.
        mixed: Whether options may also follow a word (``%container stop web -t 3``).

    Raises:
        UsageError: An option is unknown, refused, lacks its value, or its value makes no sense.
    """
    reader = _Reader(words, groups, command)
    reader.run(mixed=mixed)
    return reader.parsed


class _Reader:
    def __init__(self, words: Sequence[str], groups: Iterable[Group], command: str) -> None:
        self.words = list(words)
        self.command = command
        self.parsed = Parsed()
        self.options = {
            name: option for group in groups for option in group.options for name in option.names
        }

    def run(self, *, mixed: bool) -> None:
        while self.words:
            word = self.words.pop(0)
            if word == "--":
                self.parsed.before_dashes = len(self.parsed.words)
                break
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._short(word)
            elif mixed:
                self.parsed.words.append(word)
            else:
                self.words.insert(0, word)
                break
        self.parsed.words.extend(self.words)

    def _long(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self._find(name)
        if option.is_switch:
            self._switch(option, name, value if equals else "true")
        else:
            self._store(option, name, value if equals else self._next(option, name))

    def _short(self, word: str) -> None:
        letters = word[1:]
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            option = self._find(name, within=word)
            if not option.is_switch:
                value = letters.removeprefix("=") if letters else self._next(option, name)
                self._store(option, name, value)
                return
            if letters.startswith("="):
                self._switch(option, name, letters[1:])
                return
            self._switch(option, name, "true")

    def _find(self, name: str, within: str = "") -> Option:
        option = self.options.get(name)
        if option is None:
            where = f" in {within}" if within and within != name else ""
            raise UsageError(f"{self.command} has no option {name}{where}. {self._nearest(name)}")
        if option.refused:
            raise UsageError(f"{name} cannot be used here: {option.refused}")
        return option

    def _nearest(self, name: str) -> str:
        known = [long for long, option in self.options.items() if not option.refused]
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        help_ = f"{self.command}? lists all options."
        return f"Did you mean {nearest[0]}? {help_}" if nearest else help_

    def _next(self, option: Option, name: str) -> str:
        if not self.words:
            raise UsageError(f"{name} needs a value: {name} {option.metavar}.")
        return self.words.pop(0)

    def _switch(self, option: Option, name: str, value: str) -> None:
        if value.lower() not in TRUE | FALSE:
            raise UsageError(f"{name} is on or off: write {name}=true or {name}=false.")
        self.parsed.values[option.key] = value.lower() in TRUE

    def _store(self, option: Option, name: str, text: str) -> None:
        if option.choices and text not in option.choices:
            raise UsageError(f"{name}: {text!r} is not one of {', '.join(option.choices)}.")
        try:
            value = option.read(text)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
        if option.repeat:
            self.parsed.values.setdefault(option.key, []).append(value)
        else:
            self.parsed.values[option.key] = value
