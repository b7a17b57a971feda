"""The life of a shim, from the launcher's fork to its end."""

from __future__ import annotations

import contextlib
import gc
import os
import socket

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.complaints import complain_of_defect
from cellcrate_runtime.engine.protocol import Failed, Launch
from cellcrate_runtime.engine.shim import ending
from cellcrate_runtime.engine.shim.ready import Ready
from cellcrate_runtime.engine.shim.starting import StartFailure, start
from cellcrate_runtime.engine.shim.supervisor import Supervisor
from cellcrate_runtime.linux import process_title
from cellcrate_runtime.oci import container as oci

__all__ = ["run"]


def run(
    request: Launch,
    descriptors: list[int],
    first: oci.Spare | None = None,
    ready: Ready | None = None,
) -> None:
    """Start a container and keep it until it has ended; the caller is a process just forked.

    Args:
        request: What to start.
        descriptors: The control connection, then one for each of ``request.clients``.
        first: A first process made in advance.
        ready: The container's control group, if it was made in advance.
    """
    engine, clients = socket.socket(fileno=descriptors[0]), descriptors[1:]
    os.setsid()  # signals for the engine's terminal or group are not for containers
    process_title.set_name("cellcrate-shim")
    try:
        supervisor = _start(request, first, ready)
    except StartFailure as failure:
        wire.send(engine, Failed(kind=failure.kind, message=failure.message))
        return
    except Exception as error:
        complain_of_defect()
        message = f"a defect of Cellcrate: {error!r}; the engine's log has more"
        wire.send(engine, Failed(kind="internal", message=message))
        return
    for connection, attachment in zip(clients, request.clients, strict=False):
        # A client that is no socket, or has gone, is no reason to end the container.
        with contextlib.suppress(OSError):
            supervisor.relay.attach(connection, attachment)
    supervisor.link.adopt(engine)
    supervisor.take_engines_back()
    gc.enable()
    supervisor.run()


def _start(request: Launch, first: oci.Spare | None, ready: Ready | None) -> Supervisor:
    container = start(request, first, ready)
    try:
        return Supervisor(container)
    except BaseException:
        ending.abandon(container)
        raise
