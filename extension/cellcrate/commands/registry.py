"""All commands of ``%container``, and the way from a line to one of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from cellcrate.commands import (
    changes,
    files,
    looking,
    output,
    running,
    runtimes,
    statistics,
    trace,
)
from cellcrate.commands.command import Command
from cellcrate.errors import UsageError
from cellcrate.explain import engine_errors
from cellcrate.options import parse
from cellcrate.options.documentation import document

__all__ = ["COMMANDS", "dispatch", "find", "help_on", "overview"]

COMMANDS: tuple[Command, ...] = (
    *looking.COMMANDS,
    *statistics.COMMANDS,
    *output.COMMANDS,
    *running.COMMANDS,
    *changes.COMMANDS,
    *files.COMMANDS,
    *runtimes.COMMANDS,
    *trace.COMMANDS,
)

_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


def find(name: str) -> Command | None:
    """Return the command of a name, or None."""
    return _BY_NAME.get(name)


def dispatch(words: Sequence[str]) -> Any:
    """Carry out the line of ``%container``.

    Raises:
        UsageError: The line cannot be understood.
        EngineError: The engine refuses.
    """
    if not words or words[0] in ("help", "--help", "-h"):
        print(help_on(words[1]) if len(words) > 1 else overview())
        return None
    command = find(words[0])
    if command is None:
        raise UsageError(_unknown(words[0]))
    if "--help" in words[1:2]:
        print(help_on(words[0]))
        return None
    parsed = parse(words[1:], command.groups, command.title, mixed=command.mixed)
    with engine_errors():
        return command.run(parsed)


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.6)
    guess = f"Did you mean {nearest[0]}? " if nearest else ""
    return f"%container has no command {name!r}. {guess}%container alone lists all commands."


def overview() -> str:
    """Return one line on each command."""
    rows = [f"  {command.name:<10}{command.summary}" for command in COMMANDS]
    lines = [
        "Look at containers and act on them, in docker's words.",
        "",
        "  %container COMMAND [OPTIONS] [CONTAINER...]",
        "",
        *rows,
        "",
        "%container help COMMAND explains one of them. %%container, with two signs, runs a cell.",
    ]
    return "\n".join(lines)


def help_on(name: str) -> str:
    """Return the documentation of one command.

    Raises:
        UsageError: There is no such command.
    """
    command = find(name)
    if command is None:
        raise UsageError(_unknown(name))
    usage = " ".join(
        part for part in (command.title, "[OPTIONS]" * bool(command.groups), command.usage) if part
    )
    parts = [usage, command.summary, document(command.groups)]
    return "\n\n".join(part for part in parts if part)
