"""Asking the engine, over its unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

__all__ = ["Connection", "EngineUnreachableError", "get"]

TIMEOUT = 10.0  # seconds


class EngineUnreachableError(Exception):
    """Nobody answers on the socket."""


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket.

    Args:
        path: The socket.
        timeout: How long to wait for an answer, in seconds; None for ever.
    """

    def __init__(self, path: Path, timeout: float | None = TIMEOUT) -> None:
        super().__init__("cellcrate", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in the place of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, target: str) -> Any:
    """Return the JSON that the engine answers to a GET request.

    Raises:
        EngineUnreachableError: Nobody answers, or not with JSON and status 200.
    """
    connection = Connection(path)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise EngineUnreachableError(f"{path} answers {answer.status} {answer.reason}")
        return json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EngineUnreachableError(f"{path}: {error}") from error
    finally:
        connection.close()
