"""Send and receive messages with descriptors over a ``SOCK_SEQPACKET`` socket; see unix(7)."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from cellcrate_runtime.engine import protocol

__all__ = [
    "MAX_DESCRIPTORS",
    "Decoder",
    "MessageTooLongError",
    "close_all",
    "launcher_requests",
    "pair",
    "receive",
    "send",
    "shim_messages",
    "shim_requests",
    "worker_messages",
]

MAX_DESCRIPTORS = 250
"""How many descriptors go beside one message; the kernel's SCM_MAX_FD is 253."""

_T = TypeVar("_T")
_encoder = msgspec.msgpack.Encoder()


class MessageTooLongError(ValueError):
    """A message does not fit into one datagram."""


class Decoder(Generic[_T]):
    """Reads one conversation's messages."""

    def __init__(self, union: object) -> None:
        self._decoder = msgspec.msgpack.Decoder(union)

    def decode(self, data: bytes) -> _T:
        """Raises msgspec.DecodeError for what is no message of this conversation."""
        message: _T = self._decoder.decode(data)
        return message


launcher_requests: Decoder[protocol.LauncherRequest] = Decoder(protocol.LauncherRequest)
shim_requests: Decoder[protocol.ShimRequest] = Decoder(protocol.ShimRequest)
shim_messages: Decoder[protocol.ShimMessage] = Decoder(protocol.ShimMessage)
worker_messages: Decoder[protocol.WorkerMessage] = Decoder(protocol.WorkerMessage)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; neither is inherited by programs that are executed."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
    """Send one message; the descriptors stay open on this side.

    Raises:
        MessageTooLongError: The message is longer than MAX_MESSAGE.
        BlockingIOError: The channel is non-blocking and full.
        OSError: The other side is gone (EPIPE, ECONNRESET).
    """
    data = _encoder.encode(message)
    if len(data) > protocol.MAX_MESSAGE or len(descriptors) > MAX_DESCRIPTORS:
        raise MessageTooLongError(
            f"a {type(message).__name__} message of {len(data)} bytes with {len(descriptors)} "
            f"descriptors is too long: at most {protocol.MAX_MESSAGE} bytes and "
            f"{MAX_DESCRIPTORS} descriptors fit"
        )
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    channel.sendmsg([data], ancillary if descriptors else [], socket.MSG_NOSIGNAL)


def receive(channel: socket.socket, decoder: Decoder[_T]) -> tuple[_T, list[int]] | None:
    """Receive one message and the descriptors beside it; None when the other side has closed.

    Raises:
        BlockingIOError: The channel is non-blocking and empty.
        msgspec.DecodeError: The message is none of this conversation.
        OSError: The connection is broken.
    """
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _flags, _address = channel.recvmsg(
        protocol.MAX_MESSAGE, room, socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    if not data:
        close_all(descriptors)
        return None
    try:
        return decoder.decode(data), list(descriptors)
    except msgspec.DecodeError:
        close_all(descriptors)
        raise


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that arrived and are not wanted."""
    for descriptor in descriptors:
        os.close(descriptor)
