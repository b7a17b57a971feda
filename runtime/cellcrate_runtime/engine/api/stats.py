"""``GET /containers/{id}/stats``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from cellcrate_runtime.engine import stats
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import BadRequestError

__all__ = ["routes"]

_INTERVAL = 1.0  # seconds between two samples, as in Docker


class Stats(Handler):
    """What a container uses."""

    async def get(self, name: str) -> None:
        """Send a sample a second; with ``stream=false`` one, with ``one-shot`` one at once."""
        container = self.engine.containers.get(name)
        stream, one_shot = self.query_bool("stream", True), self.query_bool("one-shot")
        if stream and one_shot:
            raise BadRequestError("cannot have stream=true and one-shot=true")
        if stream:
            await send_all(self, _samples(container))
        else:
            document = await self.or_disconnect(_single(container, at_once=one_shot))
            self.write_json(document)


async def _single(container: Container, at_once: bool) -> dict[str, Any]:
    """Return one sample; unless it is wanted at once, with another one a second before it."""
    before = None if at_once else _take(container)
    if before is not None:
        await asyncio.sleep(_INTERVAL)
    return _document(container, _take(container), before)


async def _samples(container: Container) -> AsyncIterator[bytes]:
    removed = asyncio.ensure_future(container.wait("removed"))
    try:
        before = None
        while not removed.done():
            sample = _take(container)
            yield msgspec.json.encode(_document(container, sample, before)) + b"\n"
            before = sample
            await asyncio.wait((removed,), timeout=_INTERVAL)
    finally:
        removed.cancel()


def _take(container: Container) -> stats.Sample | None:
    """Return a sample; None of a container that does not run."""
    if not container.state.alive:
        return None
    return stats.take(container.state.pid, container.cgroup_path)


def _document(
    container: Container, sample: stats.Sample | None, before: stats.Sample | None
) -> dict[str, Any]:
    identity = {"id": container.id, "name": f"/{container.name}"}
    if sample is None:
        return stats.empty_document(identity)
    return stats.document(identity, sample, before)


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/containers/(?P<name>[^/]+)/stats", Stats, {})]
