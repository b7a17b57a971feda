"""Measurements side by side: a table, and what it says in words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from cellcrate.lessons import journal
from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.measurement import Measurement
from cellcrate.lessons.words import say

if TYPE_CHECKING:
    from cellcrate.lessons.plots import Picture

__all__ = ["Comparison", "compare", "reveal"]

STYLE = """
<style>
.cellcrate-comparison { border-collapse: collapse; margin: .5em 0; }
.cellcrate-comparison th, .cellcrate-comparison td { padding: .35em .9em; text-align: right;
  font-variant-numeric: tabular-nums; }
.cellcrate-comparison thead th { border-bottom: 2px solid currentColor; font-weight: 600; }
.cellcrate-comparison tbody tr { border-bottom: 1px solid rgba(128, 128, 128, .4); }
.cellcrate-comparison small { font-weight: 400; opacity: .75; }
</style>
"""


class Comparison:
    """Measurements side by side; the first is what the others are compared with."""

    def __init__(self, measurements: tuple[Measurement, ...]) -> None:
        self.measurements = measurements

    def ratio(self, measurement: Measurement) -> float:
        """How many times as long the slowest hundredth waits, compared with the first."""
        return measurement.p99 / self.measurements[0].p99

    def plot(self) -> Picture:
        """Every transfer as a dot, one panel a measurement."""
        from cellcrate.lessons.plots import dots

        return dots(self.measurements)

    def _header(self) -> list[str]:
        keys = ("situation", "transfers", "median_ms", "p99_ms", "times_as_long", "frames")
        return [say(f"column_{key}") for key in keys]

    def _cells(self, measurement: Measurement) -> list[str]:
        frames = measurement.frames_per_second
        return [
            f"{len(measurement.latencies)}",
            f"{measurement.median:.1f}",
            f"{measurement.p99:.1f}",
            f"\N{MULTIPLICATION SIGN} {self.ratio(measurement):.1f}",
            "" if frames is None else f"{frames:,.0f}",
        ]

    def _repr_html_(self) -> str:
        header = "".join(f"<th>{escape(text)}</th>" for text in self._header())
        rows = []
        for measurement in self.measurements:
            name = escape(measurement.title)
            if measurement.subtitle:
                name += f"<br><small>{escape(measurement.subtitle)}</small>"
            cells = "".join(f"<td>{escape(text)}</td>" for text in self._cells(measurement))
            rows.append(f'<tr><th style="text-align: left">{name}</th>{cells}</tr>')
        return (
            f'{STYLE}<table class="cellcrate-comparison"><thead><tr>{header}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    def __repr__(self) -> str:
        lines = [" | ".join(self._header())]
        for measurement in self.measurements:
            name = " ".join(filter(None, (measurement.title, measurement.subtitle)))
            lines.append(" | ".join([name, *self._cells(measurement)]))
        return "\n".join(lines)


def compare(*measurements: Measurement) -> Comparison:
    """Put measurements side by side; the first is what the others are compared with.

    Args:
        measurements: Which ones; none means the last ones of the lesson, as far as there are any.

    Raises:
        LessonError: nothing has been measured yet.
    """
    chosen = measurements or journal.story()
    if not chosen:
        raise LessonError(say("nothing_measured"))
    return Comparison(chosen)


def reveal(guess: float, before: Measurement, after: Measurement) -> None:
    """Say how a guess ("times as long") turned out."""
    measured = after.p99 / before.p99
    print(say("reveal", before=f"{before.p99:.1f}", after=f"{after.p99:.1f}"))
    print(say("reveal_guess", measured=f"{measured:.1f}", guess=f"{guess:g}"))
    close = guess / 1.5 <= measured <= guess * 1.5
    print(say("guess_close" if close else "guess_low" if measured > guess else "guess_high"))
