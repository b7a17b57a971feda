"""``pause`` and ``resume``."""

from __future__ import annotations

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.groups import need_group
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["pause", "resume"]


def pause(settings: Settings, arguments: Arguments) -> None:
    """Stop all processes, and return when they stand still."""
    folder = Folder(settings.root, arguments.id)
    with folder.locked():
        record = folder.load()
        if (status := status_of(folder, record)) not in ("created", "running"):
            raise CommandError(f"container not running: it is {status}")
        need_group(record).freeze()


def resume(settings: Settings, arguments: Arguments) -> None:
    """Let them go on."""
    folder = Folder(settings.root, arguments.id)
    with folder.locked():
        record = folder.load()
        if status_of(folder, record) != "paused":
            raise CommandError("container not paused")
        need_group(record).thaw()
