"""The bytes of a container: from one connection to a cell's output, as they come.

An attached connection stops being HTTP after its headers. Without a terminal it carries frames:
one byte that names the stream (1 output, 2 errors), three zero bytes, a length of four bytes in
network order, and the data (Docker Engine API, "ContainerAttach", "Stream format"). With a terminal
it carries the terminal's bytes as they are.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

__all__ = ["STDERR", "STDOUT", "Connection", "Demultiplexer", "Printer", "beyond"]

STDOUT = 1
STDERR = 2

_HEADER = struct.Struct(">BxxxL")
_CHUNK = 256 * 1024

Frame = tuple[int, bytes]


class Demultiplexer:
    """Cuts an attached connection's bytes into frames, whatever pieces they arrive in."""

    def __init__(self, *, tty: bool) -> None:
        self._tty = tty
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return what is complete, also parts of a frame whose end is still on its way."""
        if self._tty:
            return [(STDOUT, data)] if data else []
        frames: list[Frame] = []
        view = self._rest + data
        position = 0
        while position + _HEADER.size < len(view):
            stream, size = _HEADER.unpack_from(view, position)
            start = position + _HEADER.size
            part = view[start : start + size]
            if part:
                frames.append((stream, part))
            if len(part) < size:
                # Show the first part now, and stand before the rest as if it were a frame.
                self._rest = _HEADER.pack(stream, size - len(part))
                return frames
            position = start + size
        self._rest = view[position:]
        return frames


def beyond(frames: Iterable[Frame], seen: dict[int, int]) -> Iterator[Frame]:
    """Leave out what was seen before: so many bytes of each stream. ``seen`` is counted down."""
    for stream, data in frames:
        skipped = min(len(data), seen.get(stream, 0))
        if skipped:
            seen[stream] -= skipped
        if skipped < len(data):
            yield stream, data[skipped:]


class Text(Protocol):
    """Where text goes: sys.stdout, sys.stderr."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> Any: ...


class Printer:
    """Writes frames to a cell's output, as text.

    A character of UTF-8 may be cut between two chunks, and a terminal ends its lines with carriage
    return and line feed, which a notebook shows as lines only without the carriage return.
    """

    def __init__(
        self, *, tty: bool = False, stdout: Text | None = None, stderr: Text | None = None
    ) -> None:
        self._tty = tty
        self._targets = {STDOUT: stdout, STDERR: stderr}
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder(errors="replace") for stream in (STDOUT, STDERR)}
        self._held = ""
        #: How many bytes of each stream were shown; a second attachment skips them.
        self.shown = {STDOUT: 0, STDERR: 0}

    def show(self, frames: Iterable[Frame]) -> None:
        """Write frames in their order."""
        for stream, data in frames:
            known = stream if stream in self._decoders else STDOUT
            self.shown[known] += len(data)
            self._write(known, self._decoders[known].decode(data))

    def _write(self, stream: int, text: str) -> None:
        if self._tty:
            text = self._held + text
            # A final "\r" may be the first half of a line's end.
            self._held = "\r" if text.endswith("\r") else ""
            text = text[: len(text) - len(self._held)].replace("\r\n", "\n")
        if text:
            self._target(stream).write(text)

    def flush(self) -> None:
        """Have what was written shown."""
        for stream, count in self.shown.items():
            if count:
                self._target(stream).flush()

    def finish(self) -> None:
        """Write what was held back, and have everything shown."""
        for stream, decoder in self._decoders.items():
            rest = decoder.decode(b"", final=True)
            if rest:
                self._target(stream).write(rest)
        self._held = ""
        self.flush()

    def _target(self, stream: int) -> Text:
        # Looked up each time: a notebook may capture the output of a part of a cell.
        fallback = sys.stdout if stream == STDOUT else sys.stderr
        return self._targets[stream] or fallback


class Connection:
    """An attached connection: what ``attach_socket`` and ``exec_start(socket=True)`` return."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        # http.client reads ahead, and what came with the headers would be lost in its buffer.
        self._socket: Any = getattr(handle, "_sock", handle)
        self._early = _read_ahead(handle, self._socket)
        self._socket.settimeout(None)
        #: Whether the other side has said that nothing more will come.
        self.ended = False

    def read(self, timeout: float | None = None, wake: int | None = None) -> bytes | None:
        """Return the next bytes; b"" at the end; None if there were none in time.

        Args:
            timeout: How long to wait, in seconds; None waits for as long as it takes.
            wake: A descriptor that ends the waiting when it becomes readable.
        """
        if self._early:
            early, self._early = self._early, b""
            return early
        if self.ended:
            return b""
        if not self._ready(timeout, wake):
            return None
        data: bytes = self._socket.recv(_CHUNK)
        self.ended = not data
        return data

    def _ready(self, timeout: float | None, wake: int | None) -> bool:
        # A TLS socket may hold decrypted bytes that no poll sees.
        if hasattr(self._socket, "pending") and self._socket.pending():
            return True
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        ready = poll.poll(None if timeout is None else max(0, timeout) * 1000)
        return any(descriptor != wake for descriptor, _ in ready)

    def send_all(self, data: bytes) -> threading.Thread:
        """Write standard input and close it, in a thread, so that output can be read meanwhile."""
        thread = threading.Thread(
            target=self._send, args=(data,), name="cellcrate-stdin", daemon=True
        )
        thread.start()
        return thread

    def _send(self, data: bytes) -> None:
        # The command may end before it has read everything.
        with contextlib.suppress(OSError):
            if data:
                self._socket.sendall(data)
            self._close_writing()

    def _close_writing(self) -> None:
        # SSLSocket.shutdown would end the decryption of what is still to be read, so the connection
        # is shut through a second descriptor that knows nothing of TLS.
        with socket.socket(fileno=os.dup(self._socket.fileno())) as plain:
            plain.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection, which leaves the container as it is."""
        response = getattr(self._handle, "_response", None)
        # requests.Response is false when it tells of an error, which this one does not.
        with contextlib.suppress(OSError):
            (response or self._handle).close()


def _read_ahead(handle: Any, plain: Any) -> bytes:
    """Return what http.client has read beyond the headers of the response."""
    response = getattr(handle, "_response", None)
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if reader is None or not hasattr(reader, "peek"):
        return b""
    import ssl

    plain.settimeout(0)
    try:
        # peek returns what is in the buffer; where that is empty it reads once, and must not wait.
        early = reader.peek(1)
        return bytes(reader.read1(len(early))) if early else b""
    except (ssl.SSLWantReadError, BlockingIOError):
        return b""
