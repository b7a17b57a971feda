"""What a build says, on its way to a client that may be slow to read."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Teller"]

_MANY = 256  # documents; whoever makes many waits before there are more


class Teller:
    """A queue of documents of the answer's stream.

    Args:
        quiet: Drop what is only to be read, as ``docker build --quiet`` asks.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._waiting: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()

    def __call__(self, text: str) -> None:
        """Say something that is to be read."""
        if not self._quiet:
            self.add({"stream": text})

    def add(self, document: dict[str, Any] | None) -> None:
        """Add a document; None is the end."""
        self._waiting.put_nowait(document)
        if self._waiting.qsize() >= _MANY:
            self._room.clear()

    async def next(self) -> dict[str, Any] | None:
        """Take the next document, waiting for it."""
        document = await self._waiting.get()
        if self._waiting.qsize() < _MANY:
            self._room.set()
        return document

    async def has_room(self) -> None:
        """Wait until the client has read most of what was said."""
        await self._room.wait()
