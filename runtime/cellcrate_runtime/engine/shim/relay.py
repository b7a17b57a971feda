"""Between a process and whoever listens to it: log, attached clients, and its input."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.shim.client import HIGH_WATER, Client
from cellcrate_runtime.engine.shim.json_log import JsonLog
from cellcrate_runtime.engine.shim.loop import READABLE, WRITABLE, Loop
from cellcrate_runtime.engine.shim.streams import ProgramStreams

__all__ = ["Relay"]

_CHUNK = 64 * 1024  # what a pipe holds, see pipe(7)


class Relay:
    """Carries the streams of one program: the container's own, or an exec's.

    A client that reads slowly gets up to HIGH_WATER bytes ahead; then the program's output is not
    read until that client has caught up, so that nothing is lost and memory stays bounded.

    Args:
        loop: The loop to take part in.
        streams: The shim's ends of the program's streams; the relay closes them.
        log: Where output is recorded, or None.
        input_once: Close the input when the first client closes its own.
        on_detach: Called when a client used its detach keys.
    """

    def __init__(
        self,
        loop: Loop,
        streams: ProgramStreams,
        *,
        log: JsonLog | None = None,
        input_once: bool = False,
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._streams = streams
        self._log = log
        self._input_once = input_once
        self._on_detach = on_detach
        self._clients: list[Client] = []
        self._typed = bytearray()  # what the program has not taken yet
        self._closing_input = False
        self._reading = False
        self.tty = streams.tty
        self._resume()

    def attach(self, connection: int, attachment: Attachment) -> None:
        """Attach a client; its descriptor is the relay's from now on.

        Raises:
            OSError: The descriptor is no socket.
        """
        client = Client(self._loop, connection, attachment, self)
        self._clients.append(client)
        if attachment.stdin and attachment.initial_input and self.takes_input:
            client.type(attachment.initial_input)

    def finish(self) -> None:
        """The program has ended: hand its last output over, close the log, let the clients go.

        Clients that are behind keep their connection until they have read everything.
        """
        self._pause()
        self._streams.release_terminal()
        for stream in list(self._streams.outputs):
            # Nothing to read is the end too: a descendant that escaped may hold the stream open.
            with contextlib.suppress(BlockingIOError):
                while self._read(stream):
                    pass
            self._close_output(stream)
        self._discard_input()
        if self._log is not None:
            self._log.close()
            self._log = None
        for client in list(self._clients):
            client.end()

    def close_input(self) -> None:
        """Close the program's input once it has taken what was typed; a terminal stays open."""
        if self.tty:
            return
        self._closing_input = True
        if not self._typed:
            self._discard_input()

    # What clients ask and tell; see client.Session.

    @property
    def takes_input(self) -> bool:
        return self._streams.input is not None and not self._closing_input

    @property
    def input_ready(self) -> bool:
        return not self._typed

    def receive_input(self, data: bytes) -> None:
        if not self.takes_input:
            return
        was_ready = self.input_ready
        self._typed += data
        if was_ready:
            self._write_input()
            if not self.input_ready:
                self._tell_clients()

    def client_input_ended(self, client: Client) -> None:
        if self._input_once and not self.tty:
            self.close_input()
        else:  # as Docker does: whoever closes his input, and only his, has left
            client.end()

    def client_detached(self, client: Client) -> None:
        self._on_detach()

    def client_closed(self, client: Client) -> None:
        self._clients.remove(client)
        self._resume()

    def client_caught_up(self) -> None:
        self._resume()

    # Output.

    def _resume(self) -> None:
        if self._reading or any(client.behind >= HIGH_WATER for client in self._clients):
            return
        self._reading = True
        for stream, descriptor in self._streams.outputs.items():
            self._loop.watch(descriptor, READABLE, self._reader(stream))

    def _pause(self) -> None:
        self._reading = False
        for descriptor in self._streams.outputs.values():
            self._loop.forget(descriptor)

    def _reader(self, stream: int) -> Callable[[int], None]:
        def readable(_events: int) -> None:
            try:
                more = self._read(stream)
            except BlockingIOError:
                return
            if not more:
                self._close_output(stream)
            elif any(client.behind >= HIGH_WATER for client in self._clients):
                self._pause()

        return readable

    def _read(self, stream: int) -> bool:
        """Pass on what there is; False at the end. Raises BlockingIOError when there is nothing."""
        try:
            data = os.read(self._streams.outputs[stream], _CHUNK)
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal says that its other side is closed
                raise
            return False
        if not data:
            return False
        if self._log is not None:
            self._log.write(stream, data)
        for client in list(self._clients):
            client.send(stream, data)
        return True

    def _close_output(self, stream: int) -> None:
        descriptor = self._streams.outputs.pop(stream)
        self._loop.forget(descriptor)
        os.close(descriptor)
        if self._log is not None:
            self._log.finish(stream)

    # Input.

    def _write_input(self) -> None:
        descriptor = self._streams.input
        assert descriptor is not None
        try:
            written = os.write(descriptor, self._typed)
        except BlockingIOError:
            written = 0
        except OSError:  # the program has closed its input
            self._discard_input()
            return
        del self._typed[:written]
        if self._typed:
            self._loop.watch(descriptor, WRITABLE, self._input_writable)
        else:
            self._loop.forget(descriptor)
            if self._closing_input:
                self._discard_input()

    def _input_writable(self, _events: int) -> None:
        self._write_input()
        if self.input_ready:
            self._tell_clients()

    def _discard_input(self) -> None:
        """Close the program's input; nobody can type any more."""
        descriptor, self._streams.input = self._streams.input, None
        self._typed.clear()
        if descriptor is not None:
            self._loop.forget(descriptor)
            os.close(descriptor)
            self._tell_clients()

    def _tell_clients(self) -> None:
        for client in list(self._clients):
            client.input_changed()
