"""``ps``: the processes of a container, as the host sees them."""

from __future__ import annotations

import json
import subprocess

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.groups import need_group
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["ps"]


def ps(settings: Settings, arguments: Arguments) -> None:
    """Print their ids as JSON, or the lines that ps(1) has for them."""
    form = arguments.text("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"invalid format option: {form!r} is neither table nor json")
    folder = Folder(settings.root, arguments.id)
    record = folder.load()
    pids = sorted(need_group(record).procs())
    if form == "json":
        print(json.dumps(pids, separators=(",", ":")))
    else:
        print(_lines(arguments.words[1:] or ["-ef"], set(pids)))


def _lines(options: list[str], pids: set[int]) -> str:
    try:
        done = subprocess.run(["ps", *options], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CommandError("there is no ps(1) on this machine; use --format json") from None
    heading, *lines = done.stdout.splitlines() or [""]
    if done.returncode or "PID" not in heading.split():
        raise CommandError(done.stderr.strip() or "ps(1) printed no column PID")
    column = heading.split().index("PID")
    return "\n".join([heading, *(line for line in lines if int(line.split()[column]) in pids)])
