"""The commands of one line magic, and the way from a line to one of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cellcrate.commands.command import Command
from cellcrate.errors import UsageError
from cellcrate.explain import engine_errors
from cellcrate.options import parse
from cellcrate.options.documentation import document

__all__ = ["Family"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The commands of a line magic.

    Attributes:
        magic: The magic, as it is typed: ``%container``.
        usage: What follows a command's name.
        summary: What the commands are for, in one sentence.
        closing: What else to know, in one sentence.
        commands: The commands.
        elsewhere: Commands whose options are those of a cell magic, which documents them.
    """

    magic: str
    usage: str
    summary: str
    closing: str
    commands: tuple[Command, ...]
    elsewhere: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Every name that a command is known by."""
        return [name for each in self.commands for name in (each.name, *each.aliases)]

    def find(self, name: str) -> Command | None:
        """Return the command of a name, or None."""
        found = (each for each in self.commands if name in (each.name, *each.aliases))
        return next(found, None)

    def dispatch(self, words: Sequence[str]) -> Any:
        """Carry out the line of the magic.

        Raises:
            UsageError: The line cannot be understood.
            EngineError: The engine refuses.
        """
        if not words or words[0] in ("help", "--help", "-h"):
            print(self.help_on(words[1]) if len(words) > 1 else self.overview())
            return None
        command = self._known(words[0])
        if "--help" in words[1:2]:
            print(self.help_on(words[0]))
            return None
        title = f"{self.magic} {command.name}"
        parsed = parse(words[1:], command.groups, title, mixed=command.mixed)
        with engine_errors():
            return command.run(parsed)

    def _known(self, name: str) -> Command:
        command = self.find(name)
        if command is None:
            nearest = difflib.get_close_matches(name, self.names, n=1, cutoff=0.6)
            guess = f"Did you mean {nearest[0]}? " if nearest else ""
            raise UsageError(
                f"{self.magic} has no command {name!r}. {guess}"
                f"{self.magic} alone lists all commands."
            )
        return command

    def overview(self) -> str:
        """Return one line on each command."""
        rows = [f"  {command.name:<10}{command.summary}" for command in self.commands]
        usage = f"  {self.magic} COMMAND [OPTIONS] {self.usage}"
        closing = f"{self.magic} help COMMAND explains one of them. {self.closing}"
        return "\n".join([self.summary, "", usage, "", *rows, "", closing])

    def help_on(self, name: str) -> str:
        """Return the documentation of one command.

        Raises:
            UsageError: There is no such command.
        """
        command = self._known(name)
        title = f"{self.magic} {command.name}"
        usage = (title, "[OPTIONS]" * bool(command.groups), command.usage)
        parts = (" ".join(filter(None, usage)), command.summary, document(command.groups))
        return "\n\n".join(filter(None, parts))

    def documentation(self) -> str:
        """Return the documentation of all commands, each with its options."""
        own = [each.name for each in self.commands if each.name not in self.elsewhere]
        parts = [self.overview(), *map(self.help_on, own)]
        parts += [
            f"{self.magic} {name} takes the options of %{self.magic}: see %{self.magic}?."
            for name in self.elsewhere
        ]
        return "\n\n".join(parts) + "\n"
