"""What happened in the engine, for whoever listens: ``docker events``.

Events are kept in a ring of the last thousand, so that a listener can ask for what happened a
moment ago (``since``), and handed to the listeners of now as they happen.

Source: Docker Engine API reference, "Monitor events".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.filters import Filters

__all__ = ["ACCEPTED_FILTERS", "Actor", "Event", "EventLog", "ListenerTooSlowError", "matches"]

ACCEPTED_FILTERS = frozenset(
    {"container", "daemon", "event", "image", "label", "network", "scope", "type", "volume"}
)

# Only these kinds carry the members that API clients read before version 1.22.
_WITH_LEGACY_MEMBERS = frozenset({"container", "image"})


class ListenerTooSlowError(Exception):
    """A listener took its events so slowly that too many were waiting for it."""


class Actor(msgspec.Struct, rename="pascal", frozen=True):
    """Whom an event happened to."""

    id: str = msgspec.field(name="ID")
    attributes: Mapping[str, str]


class Event(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """One event, with the members and names of Docker's JSON."""

    status: str = ""
    id: str = ""
    from_: str = msgspec.field(default="", name="from")
    type: str = msgspec.field(name="Type")
    action: str = msgspec.field(name="Action")
    actor: Actor = msgspec.field(name="Actor")
    scope: str
    time: int
    time_nano: int = msgspec.field(name="timeNano")


class EventLog:
    """The events of one engine.

    Args:
        capacity: How many past events are kept, and how many may wait for one listener.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self._capacity = capacity
        self._past: deque[Event] = deque(maxlen=capacity)
        self._listeners: set[_Listener] = set()

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None
    ) -> Event:
        """Record an event and hand it to the listeners.

        Args:
            type: ``container``, ``image``, ``network``, ``volume`` or ``daemon``.
            action: What happened, such as ``start`` or ``exec_create: sh -c true``.
            actor_id: The full id of whom it happened to; for an image its reference or id.
            attributes: More about it. Of a container: its labels, ``image``, ``name``.
        """
        known = dict(attributes or {})
        moment = timestamps.now()
        legacy = type in _WITH_LEGACY_MEMBERS
        event = Event(
            status=action if legacy else "",
            id=actor_id if legacy else "",
            from_=known.get("image", "") if type == "container" else "",
            type=type,
            action=action,
            actor=Actor(id=actor_id, attributes=known),
            scope="local",
            time=moment // timestamps.SECOND,
            time_nano=moment,
        )
        self._past.append(event)
        for listener in self._listeners:
            listener.put(event)
        return event

    def past(self, since: int | None = None, until: int | None = None) -> list[Event]:
        """Return the kept events between two moments, both included, oldest first."""
        return [
            event
            for event in self._past
            if (since is None or event.time_nano >= since)
            and (until is None or event.time_nano <= until)
        ]

    @contextmanager
    def listen(
        self, since: int | None = None, until: int | None = None, filters: Filters | None = None
    ) -> Iterator[AsyncIterator[Event]]:
        """Give the kept events since a moment, then those to come, up to another moment.

        Events count from the moment the context is entered. With neither moment nothing of the
        past is given; without *until* the stream has no end.

        Raises:
            ListenerTooSlowError: From the iterator: the listener fell too far behind.
        """
        wanted = filters or Filters()
        past = [] if since is None and until is None else self.past(since, until)
        listener = _Listener(self._capacity)
        self._listeners.add(listener)
        try:
            yield _matching(past, listener, until, wanted)
        finally:
            self._listeners.discard(listener)


class _Listener:
    """The events that wait for one listener."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[Event] = deque()
        self._capacity = capacity
        self._arrived = asyncio.Event()

    def put(self, event: Event) -> None:
        # One more than may wait marks a listener that is too slow; the rest is of no use to it.
        if len(self._waiting) <= self._capacity:
            self._waiting.append(event)
        self._arrived.set()

    async def next(self, until: int | None) -> Event | None:
        """Wait for the next event; None when it is *until* before there is one."""
        while not self._waiting:
            self._arrived.clear()
            remaining = None if until is None else (until - timestamps.now()) / timestamps.SECOND
            try:
                await asyncio.wait_for(self._arrived.wait(), remaining)
            except TimeoutError:
                return None
        if len(self._waiting) > self._capacity:
            raise ListenerTooSlowError(f"more than {self._capacity} events were waiting")
        event = self._waiting.popleft()
        return event if until is None or event.time_nano <= until else None


async def _matching(
    past: list[Event], listener: _Listener, until: int | None, filters: Filters
) -> AsyncIterator[Event]:
    for event in past:
        if matches(event, filters):
            yield event
    while (coming := await listener.next(until)) is not None:
        if matches(coming, filters):
            yield coming


def matches(event: Event, filters: Filters) -> bool:
    """Tell whether an event is one of those that the filters of ``/events`` let through."""
    actor = event.actor
    name = actor.attributes.get("name", "")
    return (
        filters.exact("event", event.action, event.action.partition(":")[0])
        and filters.exact("type", event.type)
        and filters.exact("scope", event.scope)
        and filters.prefix("daemon", actor.id, name)
        and filters.prefix("container", actor.id, name)
        and filters.prefix("volume", actor.id, name)
        and filters.prefix("network", actor.id, name)
        and filters.exact("image", *_image_names(event))
        and filters.labels(actor.attributes)
    )


def _image_names(event: Event) -> list[str]:
    """Return the names of the image of an event, with and without their tags."""
    attribute = "name" if event.type == "image" else "image"
    names = [event.actor.id, event.actor.attributes.get(attribute, "")]
    return names + [_without_tag(name) for name in names]


def _without_tag(reference: str) -> str:
    name, colon, tag = reference.rpartition(":")
    # A colon before the last slash belongs to a registry's port.
    return name if colon and "/" not in tag else reference
