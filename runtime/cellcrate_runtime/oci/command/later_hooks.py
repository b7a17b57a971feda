"""The hooks of a container that has started or been deleted, which the commands have to run."""

from __future__ import annotations

import msgspec

from cellcrate_runtime.oci import hooks
from cellcrate_runtime.oci import spec as documents
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.reporting import Reporter
from cellcrate_runtime.oci.command.store import Folder
from cellcrate_runtime.oci.spec import Hooks
from cellcrate_runtime.oci.state import State, Status

__all__ = ["read_hooks", "run_poststart", "run_poststop", "state_of"]


def run_poststart(folder: Folder, record: Record) -> None:
    """Run those for a container that has started; if one fails, the caller destroys it.

    Raises:
        OCIError: One failed.
    """
    hooks.run("poststart", read_hooks(folder).poststart, state_of(record, "running"))


def run_poststop(wanted: Hooks, record: Record, reporter: Reporter) -> None:
    """Run those for a container that is gone; nothing is left that a failure could keep from it."""
    for failure in hooks.run_each("poststop", wanted.poststop, state_of(record, "stopped")):
        reporter.warn(str(failure))


def read_hooks(folder: Folder) -> Hooks:
    """The hooks of a container, as its configuration was when it was made."""
    with open(f"{folder.path}/config.json", "rb") as file:
        return documents.decode(file.read()).hooks or Hooks()


def state_of(record: Record, status: Status) -> State:
    """What hooks are told."""
    members = msgspec.json.decode(record.described)
    return State(
        oci_version=members["ociVersion"],
        id=members["id"],
        status=status,
        pid=0 if status == "stopped" else record.pid,
        bundle=members["bundle"],
        annotations=members.get("annotations", {}),
    )
