"""The engine's end of a message channel, on its event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from cellcrate_runtime.engine import wire

__all__ = ["Channel", "ChannelClosedError"]

_T = TypeVar("_T")


class ChannelClosedError(ConnectionError):
    """The other side of a channel is gone."""


class Channel(Generic[_T]):
    """Sends messages without blocking and calls back for each that arrives.

    Args:
        endpoint: A SOCK_SEQPACKET socket, which the channel owns from now on.
        decoder: Reads what arrives.
        on_message: Called for each message.
        on_closed: Called once, when the other side is gone or has sent nonsense.
    """

    def __init__(
        self,
        endpoint: socket.socket,
        decoder: wire.Decoder[_T],
        on_message: Callable[[_T], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._socket = endpoint
        self._decoder = decoder
        self._on_message = on_message
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self._blocked: asyncio.Future[None] | None = None
        endpoint.setblocking(False)
        self._loop.add_reader(endpoint, self._readable)

    @property
    def closed(self) -> bool:
        """Whether nothing more can be sent or will arrive."""
        return self._socket.fileno() < 0

    async def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send a message, in the order of the calls; the descriptors stay open on this side.

        Raises:
            ChannelClosedError: The other side is gone.
            MessageTooLongError: The message is too long.
        """
        async with self._sending:
            while True:
                if self.closed:
                    raise ChannelClosedError("the other side of the channel is gone")
                try:
                    return wire.send(self._socket, message, descriptors)
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    raise ChannelClosedError(f"the channel broke: {error.strerror}") from error

    def close(self) -> None:
        """Close the channel without calling back; a second call does nothing."""
        if self.closed:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._blocked is not None and not self._blocked.done():
            self._blocked.set_result(None)

    async def _writable(self) -> None:
        self._blocked = self._loop.create_future()
        self._loop.add_writer(self._socket, _resolve, self._blocked)
        try:
            await self._blocked
        finally:
            self._blocked = None
            if not self.closed:
                self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            received = wire.receive(self._socket, self._decoder)
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            received = None
        if received is None:
            self.close()
            self._on_closed()
            return
        message, descriptors = received
        wire.close_all(descriptors)  # nobody sends the engine any
        self._on_message(message)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
