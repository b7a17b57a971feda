"""A shim's connection to the engine, which may go away and come back."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.protocol import (
    Detached,
    ExecExited,
    OutOfMemory,
    ShimMessage,
    ShimRequest,
)
from cellcrate_runtime.engine.shim.loop import READABLE, WRITABLE, Loop

__all__ = ["EngineLink"]

RequestHandler: TypeAlias = Callable[[ShimRequest, list[int]], None]

_PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid; see unix(7)
_MAX_MISSED = 1000  # so that an engine that never comes back costs no memory without end


class EngineLink:
    """Receives requests and sends messages; events wait for an engine that is away.

    Args:
        loop: The loop to take part in.
        greet: Returns what a new engine is told first.
        on_request: Called with each request and the descriptors beside it, which it owns.
    """

    def __init__(
        self,
        loop: Loop,
        greet: Callable[[], ShimMessage],
        on_request: RequestHandler,
    ) -> None:
        self._loop = loop
        self._listener: socket.socket | None = None
        self._greet = greet
        self._on_request = on_request
        self._engine: socket.socket | None = None
        self._unsent: deque[ShimMessage] = deque()
        self._missed: deque[ShimMessage] = deque(maxlen=_MAX_MISSED)

    def adopt(self, engine: socket.socket) -> None:
        """Talk to this engine from now on, and first tell it what it missed."""
        self._drop()
        engine.setblocking(False)
        self._engine = engine
        self._loop.watch(engine.fileno(), READABLE, self._ready)
        self.send(self._greet())
        missed = list(self._missed)
        self._missed.clear()
        for message in missed:
            self.send(message)

    def send(self, message: ShimMessage) -> None:
        """Send a message when the engine takes it; events are kept while there is no engine."""
        if self._engine is None:
            self._keep(message)
            return
        self._unsent.append(message)
        if len(self._unsent) == 1:
            self._flush()

    def take_back(self, listener: socket.socket) -> None:
        """Let an engine that was restarted connect here; the listener is ours from now on."""
        self._listener = listener
        self._loop.watch(listener.fileno(), READABLE, self._accept)

    def close_listener(self) -> None:
        """Take no engine back any more."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()

    def close(self) -> None:
        """Send what is unsent and hang up; this waits for an engine that is busy."""
        if self._engine is not None:
            self._engine.setblocking(True)
            self._flush()
        self._drop()

    def _flush(self) -> None:
        engine = self._engine
        assert engine is not None
        while self._unsent:
            try:
                wire.send(engine, self._unsent[0])
            except BlockingIOError:
                self._loop.watch(engine.fileno(), READABLE | WRITABLE, self._ready)
                return
            except OSError:
                self._drop()
                return
            self._unsent.popleft()

    def _ready(self, events: int) -> None:
        engine = self._engine
        assert engine is not None
        if events & WRITABLE:
            self._loop.watch(engine.fileno(), READABLE, self._ready)
            self._flush()
        if not events & ~WRITABLE:
            return
        try:
            received = wire.receive(engine, wire.shim_requests)
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            received = None
        if received is None:
            self._drop()
        else:
            self._on_request(*received)

    def _drop(self) -> None:
        """Let go of the engine; what it should have heard of waits for the next one."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self._loop.forget(engine.fileno())
        engine.close()
        for message in self._unsent:
            self._keep(message)
        self._unsent.clear()

    def _keep(self, message: ShimMessage) -> None:
        if isinstance(message, ExecExited | OutOfMemory | Detached):
            self._missed.append(message)

    def _accept(self, _events: int) -> None:
        assert self._listener is not None
        try:
            engine, _address = self._listener.accept()
        except OSError:
            return
        _pid, uid, _gid = _PEER.unpack(
            engine.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )
        if uid != os.geteuid():
            complain(f"user {uid} tried to reach a shim and was refused")
            engine.close()
            return
        self.adopt(engine)
