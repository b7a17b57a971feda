"""``delete``: remove what is left of a container, or with ``--force`` the container."""

from __future__ import annotations

import os

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, NotFoundError
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.reporting import Reporter
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import end_of, send, status_of
from cellcrate_runtime.oci.command.store import Folder, folders

__all__ = ["delete", "destroy"]

_SIGKILL = 9  # as on every machine; its name is not worth loading the module
_TIMEOUT = 10.0  # seconds that a killed process may take


def delete(settings: Settings, arguments: Arguments) -> None:
    """Remove the container, or with ``--regex`` all whose names match."""
    force = arguments.has("force")
    if arguments.has("regex"):
        import re

        for folder in folders(settings.root):
            if re.search(arguments.id, folder.id):
                _delete(folder, settings.reporter, force=force)
    else:
        _delete(Folder(settings.root, arguments.id), settings.reporter, force=force)


def _delete(folder: Folder, reporter: Reporter, *, force: bool) -> None:
    try:
        with folder.locked():
            record = folder.load()
            status = status_of(folder, record)
            if status not in ("created", "stopped") and not force:
                raise CommandError(
                    f"cannot delete container {folder.id} that is not stopped: {status}"
                )
            destroy(folder, record, reporter)
    except NotFoundError:
        if not force:
            raise
        if folder.exists():
            folder.remove()  # its making was cut short


def destroy(folder: Folder, record: Record, reporter: Reporter) -> None:
    """End the container's processes, remove its control group and its folder, run its last hooks.

    Raises:
        CommandError: They do not end.
    """
    send(record, _SIGKILL)
    if record.unit or not all(map(_is_removed, record.directories.values())):
        from cellcrate_runtime.oci.command.groups import group_of

        if group := group_of(record):
            group.kill()
            group.delete()
    if not end_of(record, _TIMEOUT):
        raise CommandError(f"the container {folder.id} is killed, but does not end")
    if record.shared_root is not None:
        from cellcrate_runtime.oci import shared_mounts

        shared_mounts.take_away(shared_mounts.SharedRoot(*record.shared_root))
    if not record.has_hooks:
        folder.remove()
        return
    from cellcrate_runtime.oci.command.later_hooks import read_hooks, run_poststop

    wanted = read_hooks(folder)
    folder.remove()
    run_poststop(wanted, record, reporter)


def _is_removed(directory: str) -> bool:
    """Remove a directory of a control group if it is empty, as that of a stopped container is."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
