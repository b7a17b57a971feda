"""The shim's event loop: poll(2) without a timeout, so that an idle container costs no time.

asyncio would do as well; it would cost each container about 5 MB.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import TypeAlias

from cellcrate_runtime.engine.complaints import complain_of_defect

__all__ = ["GONE", "READABLE", "WRITABLE", "Loop"]

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL
"""What poll(2) reports without being asked: the other side is gone."""

Handler: TypeAlias = Callable[[int], None]


class Loop:
    """Calls a handler for each descriptor that is ready, until told to stop."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._stopped = False

    def watch(self, descriptor: int, events: int, handler: Handler) -> None:
        """Call ``handler`` with what happened when any of ``events``, or GONE, does.

        Watching a descriptor again replaces what was asked for before. With no events at all,
        GONE is still reported, again and again: :meth:`forget` what nobody can act upon.
        """
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching; do so before the descriptor is closed. Forgetting twice is allowed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def stop(self) -> None:
        """Let :meth:`run` return once the present round of handlers is through."""
        self._stopped = True

    def run(self) -> None:
        """Wait and call handlers until :meth:`stop`, or until nothing is watched any more."""
        handlers = self._handlers
        while handlers and not self._stopped:
            for descriptor, events in self._poll.poll():
                handler = handlers.get(descriptor)
                if handler is None:  # forgotten by an earlier handler of this round
                    continue
                try:
                    handler(events)
                except Exception:
                    # A defect in the care of one descriptor must not end the container.
                    complain_of_defect()
                    self.forget(descriptor)
        self._stopped = False
