"""``kill``: send a signal to the first process of a container, or to all of them."""

from __future__ import annotations

import os
import signal

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import send, status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["kill"]

_NOT_RUNNING = "container not running"


def kill(settings: Settings, arguments: Arguments) -> None:
    """Send the signal that was named (SIGTERM if none was)."""
    number = _number(arguments.words[1] if len(arguments.words) > 1 else "TERM")
    folder = Folder(settings.root, arguments.id)
    record = folder.load()
    if arguments.has("all"):
        _send_to_all(record, number)
        return
    if number == signal.SIGKILL and not record.own_processes and record.directories:
        # Its first process is nothing special in somebody else's PID namespace: all have to go,
        # and others may be there when the first has ended.
        if not _send_to_all(record, number):
            raise CommandError(_NOT_RUNNING)
    elif status_of(folder, record) == "stopped" or not send(record, number):
        raise CommandError(_NOT_RUNNING)


def _number(name: str) -> int:
    """A signal by its number, or its name with or without SIG."""
    if name.isdecimal() and 0 <= int(name) < signal.NSIG:
        return int(name)
    upper = name.upper()
    found = getattr(signal, upper if upper.startswith("SIG") else f"SIG{upper}", None)
    if not isinstance(found, signal.Signals):
        raise CommandError(f"unknown signal {name!r}")
    return int(found)


def _send_to_all(record: Record, number: int) -> bool:
    """Send a signal to all processes; False if there are none."""
    from cellcrate_runtime.oci.command.groups import group_of

    group = group_of(record)
    if group is None:
        return send(record, number)
    pids = group.procs()
    if number == signal.SIGKILL:
        group.kill()
    else:
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
    return bool(pids)
