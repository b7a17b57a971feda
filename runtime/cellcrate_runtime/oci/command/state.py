"""``state``: print the state of a container. Source: OCI runtime-spec 1.3, runtime.md, "State"."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["describe", "state"]

_LINES_BEFORE = 3  # what changes comes where runc has it: after a brace, ociVersion and id


def state(settings: Settings, arguments: Arguments) -> None:
    """Print it as JSON."""
    print(describe(Folder(settings.root, arguments.id)))


def describe(folder: Folder) -> str:
    """The members of the specification, and those that runc adds, as JSON."""
    record = folder.load()
    status = status_of(folder, record)
    pid = 0 if status == "stopped" else record.pid
    *beginning, rest = record.described.split("\n", _LINES_BEFORE)
    return "\n".join([*beginning, f'  "pid": {pid},', f'  "status": "{status}",', rest])
