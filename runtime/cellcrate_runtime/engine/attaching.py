"""Clients that take part in a container: before it starts they wait here, then its shim has them.

A connection that was taken off the event loop (``Handler.hijack``) belongs to the shim from the
moment it is handed over; the engine closes its own descriptor and relays nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.shim_client import ShimError

__all__ = ["Waiting", "attach", "close_all", "take_waiting"]

_KEY = "attaching"  # of Container.extras


@dataclass(frozen=True)
class Waiting:
    """A client that waits for its container to start."""

    connection: int
    attachment: Attachment


async def attach(container: Container, connection: int, attachment: Attachment) -> None:
    """Hand a client's connection over, now or when the container starts; it is ours no more.

    When the container ends in the meantime the connection is closed, which tells the client so.
    """
    if container.shim is None or not container.state.alive:
        container.extras.setdefault(_KEY, []).append(Waiting(connection, attachment))
        return
    try:
        await container.shim.attach(connection, attachment)
    except ShimError:
        pass  # it has just ended
    finally:
        os.close(connection)


def take_waiting(container: Container) -> list[Waiting]:
    """Return the clients that wait for a start; the caller closes their connections."""
    waiting: list[Waiting] = container.extras.pop(_KEY, [])
    return waiting


def close_all(waiting: list[Waiting]) -> None:
    """Close connections, after they were handed over or because there will be no start."""
    for client in waiting:
        os.close(client.connection)
