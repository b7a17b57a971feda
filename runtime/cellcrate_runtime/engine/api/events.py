"""``GET /events``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.streams import moment, send_all
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.events import ACCEPTED_FILTERS, Event
from cellcrate_runtime.engine.filters import Filters

__all__ = ["routes"]


class Events(Handler):
    """What happens in the engine, a JSON document an event."""

    async def get(self) -> None:
        """Send events as they happen, until the client leaves or it is ``until``."""
        since, until = moment(self, "since"), moment(self, "until")
        if since is not None and until is not None and since > until:
            raise BadRequestError(
                f"`since` time ({timestamps.format_rfc3339(since)}) cannot be after "
                f"`until` time ({timestamps.format_rfc3339(until)})"
            )
        filters = Filters.parse(self.query("filters"), ACCEPTED_FILTERS)
        with self.engine.events.listen(since, until, filters) as events:
            await send_all(self, _encoded(events))


async def _encoded(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        yield msgspec.json.encode(event) + b"\n"


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/events", Events, {})]
