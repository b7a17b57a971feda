"""Documentation, made of the table of options that the parser reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from cellcrate.options.option import Group, Option

__all__ = ["document", "synopsis"]

WIDTH = 88
COLUMN = 34


def document(groups: Iterable[Group]) -> str:
    """Return every option with its explanation, group by group."""
    return "\n\n".join(_group(group) for group in groups if group.title)


def _group(group: Group) -> str:
    rows = [_row(option) for option in group.options if not option.refused]
    return "\n".join([f"{group.title}:", *rows])


def _row(option: Option) -> str:
    names = synopsis(option)
    text = option.help
    if option.choices:
        text = f"{text} One of {', '.join(option.choices)}."
    if option.repeat:
        text = f"{text} May be given several times."
    wrapped = textwrap.wrap(text, WIDTH - COLUMN) or [""]
    indent = " " * COLUMN
    if len(names) >= COLUMN:
        return "\n".join([names, *(indent + line for line in wrapped)])
    return "\n".join([names.ljust(COLUMN) + wrapped[0], *(indent + line for line in wrapped[1:])])


def synopsis(option: Option) -> str:
    """Return an option's names and the name of its value: ``  -m, --memory SIZE``."""
    short = f"{option.short}, " if option.short else "    "
    return f"  {short}{option.long} {option.metavar}".rstrip()
