"""What a pull or a push shows: on a terminal a line for each layer, which changes in its place."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TextIO

from cellcrate_runtime.cli.words import size
from cellcrate_runtime.images.registry.progress import Step

__all__ = ["Lines", "Pace"]

_BAR = 20  # letters
_PLAIN = frozenset(
    {
        "Already exists",
        "Download complete",
        "Layer already exists",
        "Pull complete",
        "Pulling fs layer",
        "Pushed",
    }
)
"""The steps that are worth a line where lines stay."""


@dataclass
class Pace:
    """How fast a layer moves, seen over its last seconds.

    Attributes:
        rate: Bytes a second; 0 while nothing is known.
    """

    rate: float = 0.0
    _at: float = 0.0
    _current: int = 0

    def moved(self, current: int, now: float) -> None:
        """Take note of how far it is at a moment, in seconds."""
        passed = now - self._at
        if self._at and passed > 0 and current >= self._current:
            latest = (current - self._current) / passed
            # Half of what is shown is of the last second, so that it neither jumps nor lags.
            share = 1 - 0.5 ** min(1.0, passed)
            self.rate = latest if not self.rate else self.rate + share * (latest - self.rate)
        self._at, self._current = now, current

    def left(self, total: int) -> float | None:
        """Seconds until the end, if it goes on like this; None while nobody knows."""
        return (total - self._current) / self.rate if self.rate > 0 else None


class Lines:
    """Writes steps to standard output. Use it as a context; threads may report at once."""

    def __init__(self, quiet: bool = False, output: TextIO | None = None) -> None:
        self._output = output or sys.stdout
        self._quiet = quiet
        self._live = self._output.isatty()
        self._guard = threading.Lock()
        self._shown: list[str] = []
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._output.flush()

    def report(self, step: Step) -> None:
        """Show a step."""
        if self._quiet or step.aux is not None:
            return
        with self._guard:
            if self._live and step.id and not step.status.startswith("Pulling from"):
                self._change(step)
            elif not step.id or self._is_worth_a_line(step):
                self._shown.clear()  # what is below a line that stays is drawn anew
                text = f"{step.id}: {step.status}" if step.id else step.status
                print(text, file=self._output, flush=True)

    def _is_worth_a_line(self, step: Step) -> bool:
        return step.current is None and (
            step.status in _PLAIN or step.status.startswith(("Pulling from", "Mounted from"))
        )

    def _change(self, step: Step) -> None:
        """Write a layer's line anew, by ECMA-48's cursor up (CUU) and erase in line (EL)."""
        text = self._line(step)[: shutil.get_terminal_size().columns - 1]
        if step.id not in self._shown:
            self._shown.append(step.id)
            self._output.write(f"{text}\n")
        else:
            up = len(self._shown) - self._shown.index(step.id)
            self._output.write(f"\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B")
        self._output.flush()

    def _line(self, step: Step) -> str:
        if step.current is None or not step.total:
            self._paces.pop(step.id, None)
            return f"{step.id}: {step.status}"
        pace = self._paces.setdefault(step.id, Pace())
        pace.moved(step.current, time.monotonic())
        done = _BAR * step.current // step.total
        bar = ("=" * done + ">")[:_BAR].ljust(_BAR)
        text = f"{step.id}: {step.status} [{bar}] {size(step.current)}/{size(step.total)}"
        if pace.rate:
            text += f"  {size(pace.rate)}/s"
        left = pace.left(step.total)
        return text if left is None else f"{text}  {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
