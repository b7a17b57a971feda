"""The ring of events, and those who listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.events import Event, EventLog, ListenerTooSlowError
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.timestamps import SECOND

WEB = {"image": "cellcrate/base:latest", "name": "web", "tier": "front"}


async def take(events: AsyncIterator[Event], count: int) -> list[Event]:
    return [await asyncio.wait_for(anext(events), 5) for _ in range(count)]


async def drain(events: AsyncIterator[Event]) -> list[Event]:
    async with asyncio.timeout(5):
        return [event async for event in events]


def test_an_event_has_dockers_shape() -> None:
    event = EventLog().publish("container", "start", "ab" * 32, WEB)
    assert json.loads(msgspec.json.encode(event)) == {
        "status": "start",
        "id": "ab" * 32,
        "from": "cellcrate/base:latest",
        "Type": "container",
        "Action": "start",
        "Actor": {"ID": "ab" * 32, "Attributes": WEB},
        "scope": "local",
        "time": event.time_nano // SECOND,
        "timeNano": event.time_nano,
    }


def test_only_containers_and_images_have_the_members_of_old() -> None:
    event = EventLog().publish("network", "connect", "n1")
    members = json.loads(msgspec.json.encode(event))
    assert not {"status", "id", "from"} & set(members)


def test_a_listener_gets_what_happens_from_then_on() -> None:
    async def listen() -> list[str]:
        log = EventLog()
        log.publish("container", "create", "c1", WEB)
        with log.listen() as events:
            log.publish("container", "start", "c1", WEB)
            log.publish("container", "die", "c1", WEB)
            return [event.action for event in await take(events, 2)]

    assert asyncio.run(listen()) == ["start", "die"]


def test_the_past_comes_first_and_the_stream_ends_at_until() -> None:
    async def listen() -> list[str]:
        log = EventLog()
        log.publish("container", "create", "c1", WEB)
        with log.listen(since=0, until=timestamps.now() + SECOND // 5) as events:
            log.publish("container", "start", "c1", WEB)
            return [event.action for event in await drain(events)]

    assert asyncio.run(listen()) == ["create", "start"]


def test_a_span_in_the_past_gives_what_was_in_it_alone() -> None:
    log = EventLog()
    first = log.publish("container", "create", "c1", WEB)
    log.publish("container", "start", "c1", WEB)

    async def listen() -> list[str]:
        with log.listen(until=first.time_nano) as events:
            return [event.action for event in await drain(events)]

    assert asyncio.run(listen()) == ["create"]
    assert [event.action for event in log.past(since=first.time_nano + 1)] == ["start"]


def test_the_ring_forgets_the_oldest() -> None:
    log = EventLog(capacity=3)
    for action in ("a", "b", "c", "d"):
        log.publish("daemon", action, "me")
    assert [event.action for event in log.past()] == ["b", "c", "d"]


def test_a_listener_that_does_not_listen_is_told_so_and_forgotten() -> None:
    async def listen() -> None:
        log = EventLog(capacity=4)
        with log.listen() as events:
            for _ in range(10):
                log.publish("container", "start", "c1", WEB)
            with pytest.raises(ListenerTooSlowError):
                await take(events, 1)
        assert not log._listeners

    asyncio.run(listen())


@pytest.mark.parametrize(
    ("filters", "seen"),
    [
        ({"container": ["web"]}, True),
        ({"container": ["abab"]}, True),
        ({"container": ["db"]}, False),
        ({"event": ["exec_create"]}, True),
        ({"event": ["exec_create: sh"]}, True),
        ({"event": ["die"]}, False),
        ({"event": ["die", "exec_create"]}, True),
        ({"image": ["cellcrate/base"]}, True),
        ({"image": ["cellcrate/base:latest"]}, True),
        ({"image": ["cellcrate"]}, False),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=back"]}, False),
        ({"type": ["container"]}, True),
        ({"type": ["image"], "container": ["web"]}, False),
        ({"scope": ["swarm"]}, False),
    ],
)
def test_filters(filters: dict[str, list[str]], seen: bool) -> None:
    async def listen() -> list[Event]:
        log = EventLog()
        log.publish("container", "exec_create: sh", "ab" * 32, WEB)
        with log.listen(until=timestamps.now(), filters=Filters(filters)) as events:
            return await drain(events)

    assert bool(asyncio.run(listen())) is seen
