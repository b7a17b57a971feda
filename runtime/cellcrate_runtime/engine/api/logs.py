"""``GET /containers/{id}/logs``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from cellcrate_runtime.engine import logs
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.streams import moment, send_all
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import BadRequestError, EngineError

__all__ = ["routes"]


class _NoLogError(EngineError):
    status = 501

    def __init__(self) -> None:
        super().__init__(
            "configured logging driver does not support reading: the container was created with "
            "--log-driver none"
        )


class Logs(Handler):
    """What a container wrote."""

    async def get(self, name: str) -> None:
        """Send the log, and with ``follow`` what is written until the container ends."""
        container = self.engine.containers.get(name)
        wanted = self._wanted(container)
        if container.host_config.log_config.type == "none":
            raise _NoLogError
        kind = "multiplexed" if wanted.framed and self.api_version >= (1, 42) else "raw"
        self.set_header("Content-Type", f"application/vnd.docker.{kind}-stream")
        # As in Docker, the log of a container that does not run is not followed.
        follow = self.query_bool("follow") and container.state.running
        ended = asyncio.ensure_future(container.wait("not-running")) if follow else None
        try:
            async with aclosing(_chunks(container, wanted, ended)) as chunks:
                await send_all(self, chunks)
        finally:
            if ended is not None:
                ended.cancel()

    def _wanted(self, container: Container) -> logs.Wanted:
        stdout, stderr = self.query_bool("stdout"), self.query_bool("stderr")
        if not (stdout or stderr):
            raise BadRequestError("Bad parameters: you must choose at least one stream")
        return logs.Wanted(
            stdout=stdout,
            stderr=stderr,
            since=moment(self, "since"),
            until=moment(self, "until"),
            tail=self._tail(),
            timestamps=self.query_bool("timestamps"),
            details=self.query_bool("details"),
            framed=not container.config.tty,
        )

    def _tail(self) -> int | None:
        """Return how many lines are wanted; as in Docker, a negative number means all of them."""
        text = self.query("tail")
        if text in ("", "all"):
            return None
        try:
            lines = int(text)
        except ValueError:
            raise BadRequestError(f"tail={text!r} is neither a number of lines nor all") from None
        return lines if lines >= 0 else None


async def _chunks(
    container: Container, wanted: logs.Wanted, ended: asyncio.Future[Any] | None
) -> AsyncGenerator[bytes, None]:
    async with aclosing(logs.read(container.log_path, wanted, ended)) as batches:
        async for entries in batches:
            yield logs.encode(entries, wanted)


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/containers/(?P<name>[^/]+)/logs", Logs, {})]
