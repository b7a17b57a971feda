"""``state``: print the state of a container. Source: OCI runtime-spec 1.3, runtime.md, "State"."""

from __future__ import annotations

import json

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing has it, whose import takes longer than all that is done here
    from typing import Any

__all__ = ["describe", "state"]


def state(settings: Settings, arguments: Arguments) -> None:
    """Print it as JSON."""
    print(json.dumps(describe(Folder(settings.root, arguments.id)), indent=2))


def describe(folder: Folder) -> dict[str, Any]:
    """The members of the specification, and those that runc adds."""
    record = folder.load()
    status = status_of(folder, record)
    described = {
        "ociVersion": record.oci_version,
        "id": record.id,
        "pid": 0 if status == "stopped" else record.pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": "",
    }
    if record.annotations:
        described["annotations"] = record.annotations
    return described
