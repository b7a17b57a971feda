"""Medians and ratios, printed as a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PAUSE = 0.2
"""Seconds before each measurement: containers are started by people, one now and then."""


def interleaved(
    rounds: int, subjects: dict[str, Callable[[], float]], pause: float = PAUSE
) -> dict[str, list[float]]:
    """Measure all subjects in turn, ``rounds`` times, so that noise meets all of them alike.

    What a subject still does when its measurement is over (taking a container down, getting ready
    for the next) is over by the next measurement, unless ``pause`` is 0. Each subject returns its
    own measurement in seconds. One unmeasured round comes first.
    """
    for measure in subjects.values():
        measure()
    results: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, measure in subjects.items():
            time.sleep(pause)
            results[name].append(measure())
    return results


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Wrap ``action`` so that it returns how many seconds it took."""

    def measure() -> float:
        begin = time.perf_counter()
        action()
        return time.perf_counter() - begin

    return measure


@dataclass
class Table:
    """Measurements of one thing, done by several subjects; the first is ours."""

    title: str
    unit: str = "ms"
    scale: float = 1e3
    rows: dict[str, list[float]] = field(default_factory=dict)

    def __str__(self) -> str:
        ours = statistics.median(next(iter(self.rows.values())))
        width = max(map(len, self.rows))
        lines = [self.title]
        for name, values in self.rows.items():
            median = statistics.median(values)
            line = (
                f"  {name:<{width}}  median {median * self.scale:8.1f} {self.unit}"
                f"  best {min(values) * self.scale:8.1f} {self.unit}"
            )
            if len(self.rows) > 1:
                line += f"  {median / ours:6.2f} x ours"
            lines.append(line)
        return "\n".join(lines)
