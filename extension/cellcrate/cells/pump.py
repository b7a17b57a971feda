"""From an attached connection to the cell, with an eye on the stop button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.streams import Connection, Demultiplexer, Printer, beyond

__all__ = ["Stops", "pump", "react"]

#: How often ``goes_on`` is asked, in seconds.
QUESTION_PACE = 1.0


class Stops(Protocol):
    """What stops a command, a little harder each time."""

    @property
    def time_left(self) -> float | None:
        """How long to wait before ``insist`` is due, in seconds; None where nothing is due."""

    def press(self) -> None:
        """React to a press of the button."""

    def insist(self) -> None:
        """React to time having passed since."""


def pump(
    attached: Connection,
    printer: Printer,
    interrupts: Interrupts,
    stopper: Stops,
    *,
    tty: bool,
    seen: dict[int, int] | None = None,
    goes_on: Callable[[], bool] | None = None,
) -> None:
    """Show what comes until there is no more.

    Args:
        attached: The connection.
        printer: Shows it.
        interrupts: The stop button.
        stopper: What a press of it does.
        tty: Whether a terminal's bytes come, in place of frames.
        seen: So many bytes of each stream were shown before, and are left out.
        goes_on: Asked when nothing came for a while; False ends the waiting.

    Raises:
        OSError: The connection broke.
    """
    demultiplexer = Demultiplexer(tty=tty)
    seen = seen or {}
    while not attached.ended:
        data = attached.read(_patience(stopper, goes_on), interrupts.descriptor)
        if data is None and goes_on is not None and not interrupts.pending and not goes_on():
            return
        while data:
            printer.show(beyond(demultiplexer.feed(data), seen))
            # To have text shown wakes another thread: once for all that is there already.
            data = None if interrupts.pending else attached.read(0)
        printer.flush()
        react(interrupts, stopper)


def _patience(stopper: Stops, goes_on: Callable[[], bool] | None) -> float | None:
    waits = [stopper.time_left, None if goes_on is None else QUESTION_PACE]
    return min((each for each in waits if each is not None), default=None)


def react(interrupts: Interrupts, stopper: Stops) -> None:
    """Pass presses of the stop button on."""
    for _ in range(interrupts.take()):
        stopper.press()
    if stopper.time_left == 0:
        stopper.insist()
