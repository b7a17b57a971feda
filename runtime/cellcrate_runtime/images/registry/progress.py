"""What is told while an image moves, and the way to stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cellcrate_runtime.images.registry.errors import TransferCancelledError

__all__ = ["Cancellation", "Meter", "Report", "Step", "silent"]

_INTERVAL = 0.1  # seconds between two reports of the same bytes, as in Docker


@dataclass(frozen=True, slots=True)
class Step:
    """One step, of a layer or of the whole.

    Attributes:
        status: In the words of ``docker pull`` and ``docker push``.
        id: The layer, by twelve digits of its digest; or what the whole is about; or nothing.
        current: Bytes moved so far, where bytes move.
        total: Bytes to be moved.
        aux: What a program wants to know that pushes: the tag, and its digest and size.
    """

    status: str
    id: str = ""
    current: int | None = None
    total: int | None = None
    aux: Mapping[str, Any] | None = None


Report = Callable[[Step], None]
"""Told of each step, by several threads; it may not raise."""


def silent(_: Step) -> None:
    """Tell nobody."""


class Cancellation:
    """Asked by those who work, whether they still should."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._guard = threading.Lock()
        self._hurrying: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Have everybody stop, also those who wait for a registry that says nothing."""
        self._event.set()
        with self._guard:
            hurrying = list(self._hurrying)
        for hurry in hurrying:
            hurry()

    def on_cancel(self, hurry: Callable[[], None]) -> None:
        """Have something called, from another thread, when it is time to stop."""
        with self._guard:
            self._hurrying.append(hurry)

    @property
    def cancelled(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise if it is time to stop.

        Raises:
            TransferCancelledError: It is.
        """
        if self._event.is_set():
            raise TransferCancelledError("the transfer was cancelled")

    def wait(self, seconds: float) -> None:
        """Wait, unless it is time to stop.

        Raises:
            TransferCancelledError: It is.
        """
        self._event.wait(seconds)
        self.check()


class Meter:
    """Counts the bytes of one layer, and tells of them now and then."""

    def __init__(self, report: Report, status: str, id: str, total: int) -> None:
        self._report = report
        self._status, self._id, self._total = status, id, total
        self._told = 0.0

    def at(self, current: int) -> None:
        """Tell how far it is, unless somebody was told a moment ago."""
        now = time.monotonic()
        if now - self._told >= _INTERVAL or current == self._total:
            self._told = now
            self._report(Step(self._status, self._id, current, self._total))
