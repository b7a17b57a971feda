"""The lesson's picture: every transfer a dot."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from cellcrate.lessons.measurement import Measurement
from cellcrate.lessons.words import catalogue, language

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Picture", "dots"]

# Masataka Okabe and Kei Ito's colours, which people with any kind of colour vision can tell apart
# (https://jfly.uni-koeln.de/color/).
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#56B4E9")

HANGUL_FONTS = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "Noto Sans CJK JP",  # the collection files hold every script under whichever name comes first
    "NanumGothic",
    "NanumBarunGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
)

DOTS_PER_INCH = 192  # twice what a screen's CSS pixel has: sharp on every display


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as PNG, with words for those who do not see it.

    Attributes:
        png: The file's bytes.
        width: Its width on the page, in CSS pixels.
        description: What it shows.
    """

    png: bytes
    width: int
    description: str

    def _repr_html_(self) -> str:
        from html import escape

        data = base64.b64encode(self.png).decode()
        return (
            f'<img src="data:image/png;base64,{data}" width="{self.width}" '
            f'alt="{escape(self.description, quote=True)}">'
        )

    def __repr__(self) -> str:
        return self.description


def dots(measurements: Sequence[Measurement]) -> Picture:
    """One panel a measurement, on one scale: every transfer a dot, lines at median and 99 %."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    words, fonts = _words_and_fonts()
    with rc_context({"font.family": fonts, "font.size": 10, "axes.unicode_minus": False}):
        width = 1.2 + 3.0 * len(measurements)
        figure = Figure(figsize=(width, 4.2), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        panels: Any = figure.subplots(1, len(measurements), sharey=True, squeeze=False)
        for number, measurement in enumerate(measurements):
            _panel(panels[0][number], measurement, COLOURS[number % len(COLOURS)], words)
        first: Axes = panels[0][0]
        first.set_ylabel(words["axis_latency"])
        _scale(first, measurements)
        figure.supxlabel(words["axis_transfers"], fontsize=10)
        file = BytesIO()
        figure.savefig(file, format="png", dpi=DOTS_PER_INCH)
    return Picture(file.getvalue(), round(width * 96), _describe(measurements))


def _words_and_fonts() -> tuple[dict[str, str], list[str]]:
    """The words to draw, and fonts that have their letters; English where none has Hangul."""
    from matplotlib.font_manager import fontManager

    if language() == "ko":
        installed = {font.name for font in fontManager.ttflist}
        for name in HANGUL_FONTS:
            if name in installed:
                return catalogue("ko"), [name, "DejaVu Sans"]
    return catalogue("en"), ["DejaVu Sans"]


def _panel(axes: Axes, measurement: Measurement, colour: str, words: dict[str, str]) -> None:
    latencies = measurement.latencies
    axes.scatter(
        range(1, len(latencies) + 1), latencies, s=9, color=colour, alpha=0.45, linewidths=0
    )
    for value, key, style in (
        (measurement.median, "line_median", "-"),
        (measurement.p99, "line_p99", "--"),
    ):
        axes.axhline(value, color="black", linewidth=1.2, linestyle=style)
        axes.annotate(
            words[key].format(value=f"{value:.1f}"),
            xy=(0.98, value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=9,
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "lw": 0},
        )
    title = _title(measurement, words)
    axes.set_title(title, color=colour, fontsize=11, fontweight="bold", pad=20)
    axes.annotate(
        _ceiling(measurement, words),
        xy=(0.5, 1),
        xycoords="axes fraction",
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=9,
    )
    axes.grid(axis="y", which="major", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _title(measurement: Measurement, words: dict[str, str]) -> str:
    title = words["plot_with_game" if measurement.game else "plot_alone"]
    return title.format(kind=words[measurement.kind])


def _ceiling(measurement: Measurement, words: dict[str, str]) -> str:
    """The game's share of CPU, which is what these pictures are about."""
    limits = measurement.game_limits
    if limits is None or limits.cpus is None:
        return ""
    return words["plot_ceiling"].format(cpus=f"{limits.cpus:g}")


def _scale(axes: Axes, measurements: Sequence[Measurement]) -> None:
    """A logarithmic scale with ordinary numbers, wide enough for every dot."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    everything = [latency for m in measurements for latency in m.latencies]
    low, high = min(everything) / 1.3, max(everything) * 1.5
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _describe(measurements: Sequence[Measurement]) -> str:
    words = catalogue(language())
    return "; ".join(
        words["described"].format(
            title=_title(m, words), median=f"{m.median:.1f}", p99=f"{m.p99:.1f}"
        )
        for m in measurements
    )
