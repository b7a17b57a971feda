"""``list``: all containers of this state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.state import describe
from cellcrate_runtime.oci.command.store import Folder, folders

__all__ = ["list_all"]

_COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")


def list_all(settings: Settings, arguments: Arguments) -> None:
    """Print them as a table, as JSON, or by name alone."""
    form = arguments.text("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"invalid format option: {form!r} is neither table nor json")
    if settings.root_is_given and not os.path.isdir(settings.root):
        raise CommandError(f"--root: {settings.root}: no such directory")
    found = [each for each in map(_described, folders(settings.root)) if each is not None]
    if arguments.has("quiet"):
        print("".join(f"{each['id']}\n" for each in found), end="")
    elif form == "json":
        print(json.dumps(found, separators=(",", ":")))
    else:
        _print_table([_COLUMNS, *map(_row, found)])


def _described(folder: Folder) -> dict[str, Any] | None:
    try:
        return {**json.loads(describe(folder)), "owner": _owner(folder)}
    except CommandError:
        return None  # it is being made, or was deleted just now


def _owner(folder: Folder) -> str:
    import pwd

    uid = os.stat(folder.path).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(each[column.lower()]) for column in _COLUMNS)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("   ".join(cell.ljust(width) for cell, width in cells).rstrip())
