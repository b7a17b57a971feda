"""``state``: print the state of a container. Source: OCI runtime-spec 1.3, runtime.md, "State"."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["describe", "state"]


def state(settings: Settings, arguments: Arguments) -> None:
    """Print it as JSON."""
    print(describe(Folder(settings.root, arguments.id)))


def describe(folder: Folder) -> str:
    """The members of the specification, and those that runc adds, as JSON."""
    record = folder.load()
    status = status_of(folder, record)
    pid = 0 if status == "stopped" else record.pid
    beginning = record.described.removesuffix("\n}")
    return f'{beginning},\n  "pid": {pid},\n  "status": "{status}"\n}}'
