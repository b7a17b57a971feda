"""The stop button: ask, insist, kill."""

from __future__ import annotations

import contextlib
import threading
import time

from cellcrate.cells.link import Link
from cellcrate.errors import EngineError

__all__ = ["PATIENCE", "Stopper"]

#: How long a container has to react to SIGINT, and then to its stop signal, in seconds. The first
#: process of a container is spared by signals that it has no handler for (pid_namespaces(7)), as a
#: shell has none: for such a cell this is what pressing the button costs.
PATIENCE = 1


class Stopper:
    """Stops one container, a little harder each time.

    The first press sends SIGINT, as Ctrl-C would. Where that does not end it in time, ``stop``
    sends its stop signal and then SIGKILL. A second press kills at once.
    """

    def __init__(self, link: Link, container: str, stop_timeout: int | None) -> None:
        self._link = link
        self._container = container
        self._stop_timeout = PATIENCE if stop_timeout is None else stop_timeout
        self._insist_at: float | None = None
        self._presses = 0

    @property
    def time_left(self) -> float | None:
        """How long to wait before ``insist`` is due, in seconds; None where nothing is due."""
        if self._insist_at is None:
            return None
        return max(0.0, self._insist_at - time.monotonic())

    def press(self) -> None:
        """React to a press of the button."""
        self._presses += 1
        if self._presses == 1:
            self._insist_at = time.monotonic() + PATIENCE
            self._signal("SIGINT")
        else:
            self._insist_at = None
            self._signal("SIGKILL")

    def insist(self) -> None:
        """Have the engine stop the container, in a thread, so that its last words are read."""
        self._insist_at = None
        threading.Thread(target=self._stop, name="cellcrate-stop", daemon=True).start()

    def _signal(self, name: str) -> None:
        # It may have ended a moment ago.
        with contextlib.suppress(EngineError):
            self._link.ask(lambda api: api.kill(self._container, name))

    def _stop(self) -> None:
        with contextlib.suppress(Exception):
            self._link.ask(lambda api: api.stop(self._container, timeout=self._stop_timeout))
