"""``start``: let the program of a created container begin."""

from __future__ import annotations

import os
import socket

from cellcrate_runtime.linux import unix_sockets
from cellcrate_runtime.oci.channel import START, MakerEnd
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["start"]


def start(settings: Settings, arguments: Arguments) -> None:
    """Tell the process that waits to go on, and hear whether its program could be executed."""
    folder = Folder(settings.root, arguments.id)
    with folder.locked():
        record = folder.load()
        status = status_of(folder, record)
        if status == "stopped":
            raise CommandError("cannot start a container that has stopped")
        if status != "created":
            raise CommandError("cannot start an already running container")
        starter = _connect(folder)
        # From now on it has been started, whatever becomes of this program.
        os.unlink(folder.start_socket)
        try:
            starter.tell(START)
            starter.hear_end()
        finally:
            starter.close()
        if record.has_hooks:
            _run_poststart(folder, record, settings)


def _run_poststart(folder: Folder, record: Record, settings: Settings) -> None:
    """Run the hooks; if one fails, nothing is left of the container (runtime.md, "Lifecycle")."""
    from cellcrate_runtime.oci.command.delete import destroy
    from cellcrate_runtime.oci.command.later_hooks import run_poststart

    try:
        run_poststart(folder, record)
    except BaseException:
        destroy(folder, record, settings.reporter)
        raise


def _connect(folder: Folder) -> MakerEnd:
    with unix_sockets.address(folder.start_socket) as address:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(address)
        except ConnectionRefusedError:
            connection.close()
            raise CommandError("cannot start a container that has stopped") from None
    return MakerEnd(connection)
