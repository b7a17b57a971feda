"""Answer requests that cannot be served."""

from __future__ import annotations

import contextlib
import os
import socket

import msgspec

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.protocol import Failed

__all__ = ["refuse_next", "refuse_waiting"]


def refuse_waiting(channel: socket.socket, reason: str) -> None:
    """Answer what has been asked so far; the engine starts another launcher for what comes."""
    channel.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while refuse_next(channel, reason):
            pass


def refuse_next(channel: socket.socket, reason: str) -> bool:
    """Answer the next request; False when the engine is gone.

    Raises:
        BlockingIOError: The channel is non-blocking, and there is none.
    """
    try:
        received = wire.receive(channel, wire.launcher_requests)
    except msgspec.DecodeError:
        return True
    if received is None:
        return False
    descriptors = received[1]
    # Whatever is asked, the first descriptor is where it is answered.
    with socket.socket(fileno=os.dup(descriptors[0])) as asker, contextlib.suppress(OSError):
        wire.send(asker, Failed(kind="internal", message=reason))
    wire.close_all(descriptors)
    return True
