"""When the engine may leave: nobody asks anything of it, and it owns nothing that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Idle"]


class Idle:
    """Counts what keeps the engine awake, and calls ``leave`` when nothing did for a while.

    There is no periodic timer: one is armed when the last request ends, and looks again then.

    Args:
        seconds: How long nothing must have happened; 0 never leaves.
        busy: Whether something runs that needs the engine.
        leave: Called once, when the engine may leave.
    """

    def __init__(self, seconds: float, busy: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._seconds = seconds
        self._busy = busy
        self._leave = leave
        self._requests = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Count one request more."""
        self._requests += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Count one request less."""
        self._requests -= 1
        self.look()

    def look(self) -> None:
        """Arm the timer if nothing keeps the engine awake; call when something stopped running."""
        if self._requests or not self._seconds or self._busy():
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expired)

    def stop(self) -> None:
        """Leave the decision to others."""
        if self._timer is not None:
            self._timer.cancel()
        self._seconds = 0

    def _expired(self) -> None:
        self._timer = None
        if not self._requests and not self._busy():
            self._leave()
