"""Attach: the connection becomes a container's streams. And the size of its terminal."""

from __future__ import annotations

import os

from cellcrate_runtime.engine import attaching, detach_keys, logs
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import (
    BadRequestError,
    ConflictError,
    ContainerNotRunningError,
)
from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.shim_client import ShimError

__all__ = ["routes"]

_MAX_SIZE = 65535  # characters: struct winsize has 16 bits


class Attach(Handler):
    """``POST /containers/{id}/attach``."""

    async def post(self, name: str) -> None:
        """Connect the client to the container, which may not have started yet.

        With ``logs`` it gets what was written before; with ``stream`` what comes.
        """
        container = self.engine.containers.get(name)
        keys = detach_keys.parse(self.query("detachKeys"))
        _check_attachable(container, name)
        attachment = Attachment(
            stdin=self.query_bool("stdin") and container.config.open_stdin,
            stdout=self.query_bool("stdout"),
            stderr=self.query_bool("stderr"),
            detach_keys=keys if container.config.tty else b"",
        )
        earlier = await self._earlier(container) if self.query_bool("logs") else b""
        self._stream_kind = "raw" if container.config.tty else "multiplexed"
        connection, attachment.initial_input = await self.hijack_after(earlier)
        if not self.query_bool("stream"):
            os.close(connection)
            return
        self.engine.publish(container, "attach")
        await attaching.attach(container, connection, attachment)

    async def _earlier(self, container: Container) -> bytes:
        """Return what the container wrote so far, in the form of the stream."""
        wanted = logs.Wanted(
            stdout=self.query_bool("stdout"),
            stderr=self.query_bool("stderr"),
            framed=not container.config.tty,
        )
        batches = logs.read(container.log_path, wanted, None)
        return b"".join([logs.encode(entries, wanted) async for entries in batches])


def _check_attachable(container: Container, name: str) -> None:
    if container.state.status is Status.PAUSED:
        raise ConflictError(f"container {name} is paused, unpause the container before attach")
    if container.state.status is Status.RESTARTING:
        raise ConflictError(f"container {name} is restarting, wait until the container is running")
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise ConflictError(f"container {name} is marked for removal and cannot be attached to")


class Resize(Handler):
    """``POST /containers/{id}/resize``."""

    async def post(self, name: str) -> None:
        """Change the size of the container's terminal."""
        container = self.engine.containers.get(name)
        width, height = self.query_int("w"), self.query_int("h")
        if width is None or height is None or not (_is_size(width) and _is_size(height)):
            raise BadRequestError(f"resize needs w and h: characters, from 0 to {_MAX_SIZE}")
        if not container.state.alive or container.shim is None:
            raise ContainerNotRunningError(container.id)
        try:
            await container.shim.resize(width, height)
        except ShimError as error:
            raise ConflictError(f"cannot resize container {name}: {error.message}") from error
        self.engine.publish(container, "resize", width=str(width), height=str(height))
        self.set_status(200)
        self.clear_header("Content-Type")
        self.finish()


def _is_size(characters: int) -> bool:
    return 0 <= characters <= _MAX_SIZE


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/containers/(?P<name>[^/]+)/attach", Attach, {}),
        (r"/containers/(?P<name>[^/]+)/resize", Resize, {}),
    ]
