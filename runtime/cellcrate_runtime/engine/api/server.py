"""The unix socket on which the API is served, and who may speak to it."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler

__all__ = ["PrivateServer", "SocketInUseError", "listen"]

_MAX_BODY = 16 * 1024 * 1024  # of a JSON body; handlers of archives raise it for themselves
_BACKLOG = 128


class SocketInUseError(OSError):
    """Something that we must not replace has the socket's path."""


def listen(path: Path) -> socket.socket:
    """Return a listening socket that only this user can connect to.

    Call with the engine's lock held: a socket that is there already is a dead engine's.

    Raises:
        SocketInUseError: The path is taken by something else than a socket, or is too long.
    """
    if len(os.fsencode(path)) > 107:
        raise SocketInUseError(
            f"{path} is too long for a socket: Linux allows 107 bytes (unix(7)). "
            "Set CELLCRATE_HOME to a shorter folder."
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketInUseError(
                f"{path} exists and is not a socket. Remove it, or name another."
            )
        path.unlink()
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode is set by the mask, not afterwards: there is no moment at which others may connect.
    previous = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(previous)
    listener.setblocking(False)
    listener.listen(_BACKLOG)
    return listener


class PrivateServer(HTTPServer):
    """An HTTP server that hangs up on other users, whatever the socket's mode has become."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Set the limits of a request."""
        super().initialize(*args, **{"max_body_size": _MAX_BODY, **kwargs})

    def serve(self, listener: socket.socket) -> None:
        """Accept connections from now on."""
        add_accept_handler(listener, self._accept)

    def _accept(self, connection: socket.socket, address: Any) -> None:
        if peer_uid(connection) not in (os.geteuid(), 0):
            connection.close()
            return
        self.handle_stream(IOStream(connection), address)


def peer_uid(connection: socket.socket) -> int:
    """Return who is at the other end of a unix socket; see SO_PEERCRED in unix(7)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)
