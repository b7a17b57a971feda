"""The stop button, as something to wait for.

It sends SIGINT to the kernel, and Python's own handler raises KeyboardInterrupt wherever the
program happens to be: between the creation of a container and the moment its id is known, or in the
middle of a request. Inside ``Interrupts`` presses are counted, and wake whoever polls; they raise
only where the program says that this is harmless.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Counts presses of the stop button while the block runs.

    In a thread that is not the main one, where Python sets no signal handlers, it counts nothing.

    Attributes:
        count: The presses so far.
        descriptor: Readable from a press on, until ``take`` is called.
    """

    def __init__(self) -> None:
        self.count = 0
        self.descriptor = -1
        self._taken = 0
        self._raising = False
        self._before: Any = None
        self._installed = False

    def __enter__(self) -> Interrupts:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            # None stands for a handler that was not set from Python and cannot be set back.
            signal.signal(signal.SIGINT, self._before or signal.default_int_handler)
        os.close(self.descriptor)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        os.eventfd_write(self.descriptor, 1)
        if self._raising:
            raise KeyboardInterrupt

    @property
    def pending(self) -> bool:
        """Whether there was a press since the last ``take``."""
        return self.count != self._taken

    def take(self) -> int:
        """Return how many presses there were since the last call."""
        # In this order: a press between the two wakes once more for nothing, and is never lost.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.descriptor)
        count = self.count
        new, self._taken = count - self._taken, count
        return new

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Let a press raise KeyboardInterrupt inside this block.

        Raises:
            KeyboardInterrupt: The button was pressed, now or since the last ``take``.
        """
        self._raising = True
        try:
            if self.pending:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False
