"""One attached client: the far end of ``docker attach``, ``docker run`` or ``docker exec``.

The connection is the client's own, upgraded from HTTP by the engine. What it carries is Docker's
stream format: raw bytes for a terminal, else frames of eight bytes (stream, three zeros, length
in big-endian order) and the data. Source: Docker Engine API, "Attach to a container".
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import deque
from typing import Protocol

from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.shim.detach_keys import DetachKeys
from cellcrate_runtime.engine.shim.loop import GONE, READABLE, WRITABLE, Loop

__all__ = ["HIGH_WATER", "Client", "Session"]

HIGH_WATER = 1024 * 1024
"""How many bytes wait for a slow client before the container has to wait, as in Docker."""

_CHUNK = 32 * 1024


class Session(Protocol):
    """What a client is attached to."""

    tty: bool

    @property
    def takes_input(self) -> bool:
        """Whether there is an input at all that is still open."""

    @property
    def input_ready(self) -> bool:
        """Whether more input is wanted now."""

    def receive_input(self, data: bytes) -> None:
        """Take what a client typed."""

    def client_input_ended(self, client: Client) -> None:
        """A client has shut down its sending side."""

    def client_detached(self, client: Client) -> None:
        """A client used its detach keys."""

    def client_closed(self, client: Client) -> None:
        """A client is gone, for whatever reason."""

    def client_caught_up(self) -> None:
        """A client that was behind has received everything."""


class Client:
    """Passes output to a connection, and input from it, without ever waiting for it.

    Args:
        loop: The loop to take part in.
        connection: The descriptor, which the client owns from now on.
        attachment: What the client takes part in.
        session: What it is attached to.

    Raises:
        OSError: The descriptor is no socket; it has been closed.
    """

    def __init__(
        self, loop: Loop, connection: int, attachment: Attachment, session: Session
    ) -> None:
        self._loop = loop
        self._session = session
        try:
            self._socket = socket.socket(fileno=connection)
        except OSError:
            os.close(connection)
            raise
        self._socket.setblocking(False)
        self._streams = (attachment.stdin, attachment.stdout, attachment.stderr)
        self._keys = DetachKeys(attachment.detach_keys if session.tty else b"")
        self._backlog: deque[memoryview] = deque()
        self._receiving = attachment.stdin  # the client may still send
        self._ending = False
        self.behind = 0  # bytes not yet taken by the client
        self._watch()

    def send(self, stream: int, data: bytes) -> None:
        """Pass output of stream 1 or 2 on, now or when the client takes it."""
        if self._socket.fileno() < 0 or not self._streams[stream]:
            return
        if not self._session.tty:
            data = b"%c\0\0\0%b%b" % (stream, len(data).to_bytes(4, "big"), data)
        self._backlog.append(memoryview(data))
        self.behind += len(data)
        if len(self._backlog) == 1:
            self._flush()

    def type(self, data: bytes) -> None:
        """Handle what the client has sent, or has sent to the engine before it came here."""
        data, detached = self._keys.filter(data)
        if data:
            self._session.receive_input(data)
        if detached:
            self._session.client_detached(self)
            self.close()

    def input_changed(self) -> None:
        """The session's readiness for input has changed."""
        if self._socket.fileno() >= 0:
            self._watch()

    def end(self) -> None:
        """Close the connection once everything is sent."""
        self._ending = True
        self._receiving = False
        if self._backlog:
            self._watch()
        else:
            self.close()

    def close(self) -> None:
        """Close the connection now; a second call does nothing."""
        if self._socket.fileno() < 0:
            return
        self._loop.forget(self._socket.fileno())
        self._backlog.clear()
        self.behind = 0
        _close_politely(self._socket)
        self._session.client_closed(self)

    def _watch(self) -> None:
        events = WRITABLE if self._backlog else 0
        if self._receiving:
            if not self._session.takes_input:
                self._receiving = False
            elif self._session.input_ready:
                events |= READABLE
        self._loop.watch(self._socket.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if self._socket.fileno() < 0:
            return
        if self._receiving and events & (READABLE | GONE):
            if self._session.input_ready:
                self._receive()
            else:
                # Gone, and its last words cannot be read yet: input_changed() comes back to it.
                self._loop.forget(self._socket.fileno())
        elif events & GONE:
            self.close()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:  # a connection that was reset ends as well
            data = b""
        if data:
            self.type(data)
            return
        self._receiving = False
        self._watch()
        self._session.client_input_ended(self)

    def _flush(self) -> None:
        while self._backlog:
            data = self._backlog[0]
            try:
                sent = self._socket.send(data, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except OSError:  # the client is gone; the container goes on
                self._output_failed()
                return
            self.behind -= sent
            if sent < len(data):
                self._backlog[0] = data[sent:]
            else:
                self._backlog.popleft()
        if self._backlog:
            self._watch()
        elif self._ending:
            self.close()
        else:
            self._watch()
            self._session.client_caught_up()

    def _output_failed(self) -> None:
        """The client takes no more; what it sent before it went may still be waiting here."""
        self._streams = (False, False, False)
        self._backlog.clear()
        self.behind = 0
        if self._receiving:
            self._watch()
            self._session.client_caught_up()
        else:
            self.close()


def _close_politely(connection: socket.socket) -> None:
    """Close so that the client reads to the end of file.

    A unix socket that is closed with unread input makes its peer see a connection reset, maybe
    before the peer has read its last output; so nothing may be left unread.
    """
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        while connection.recv(_CHUNK):
            pass
    connection.close()
