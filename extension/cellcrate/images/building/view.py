"""The picture of a build: its steps, as they come."""

from __future__ import annotations

from dataclasses import dataclass

from cellcrate.images.building.record import LINES, BuildRecord, Step
from cellcrate.images.progress_view import TransfersView
from cellcrate.images.words import say
from cellcrate.widgets.html import BORDER, FONT, GOOD, HOT, MONO, MUTED, WARM, escape

__all__ = ["BuildView", "Lines", "title"]

_MARKS = {
    "running": ("●", WARM),
    "done": ("✓", GOOD),
    "cached": ("✓", MUTED),
    "failed": ("✗", HOT),
    "interrupted": ("■", HOT),
}
#: How many lines of a step that runs are shown: a window that does not push the page around.
WINDOW = 12


@dataclass(frozen=True, slots=True)
class BuildView:
    """What is shown of a build, now or at its end."""

    record: BuildRecord

    def text(self) -> str:
        """Return the steps, with their output."""
        return "\n".join(Lines(self.record).new())

    def html(self) -> str:
        """Return the steps; their output is folded when they are done."""
        record = self.record
        colour = {"done": GOOD, "running": MUTED}.get(record.state, HOT)
        remarks = "".join(
            f'<div style="color:{MUTED};font-size:12px">{escape(each)}</div>'
            for each in record.remarks
        )
        return (
            f'<div style="font-family:{FONT};font-size:13px;max-width:900px">'
            f"{''.join(map(_step, record.steps))}{remarks}"
            f'<div role="status" style="margin-top:6px;color:{colour}"><b>{escape(title(record))}'
            "</b></div></div>"
        )


def title(record: BuildRecord) -> str:
    """Return how a build stands, in one line."""
    name, step = record.name or say("untitled"), record.step
    if record.state == "interrupted":
        return say("build_interrupted", image=name)
    if record.state == "failed":
        if step is None:
            return say("build_failed_at_once", image=name)
        failed = say("build_failed", image=name, number=step.number, total=step.total)
        return f"{failed} ({say('exit_code', code=record.code)})" if record.code else failed
    if record.state == "done":
        return say(
            "build_done",
            image=name,
            steps=len(record.steps),
            cached=record.cached,
            seconds=f"{record.seconds:.1f}",
        )
    if step is None:
        return say("build_starting", image=name)
    return say("build_running", image=name, number=step.number, total=step.total)


class Lines:
    """A build as lines of text, which come as it goes on."""

    def __init__(self, record: BuildRecord) -> None:
        self._record = record
        self._step = 0
        self._written = 0
        self._is_open = False
        self._is_over = False

    def new(self) -> list[str]:
        """Return the lines that are new since the last call."""
        lines: list[str] = []
        while self._step < len(self._record.steps):
            step = self._record.steps[self._step]
            lines += self._of(step)
            if step.state == "running" or (
                step.state == "cached" and step is self._record.step and not self._record.over
            ):
                return lines
            lines.append(f"      ({condition(step)})")
            self._step, self._written, self._is_open = self._step + 1, 0, False
        if self._record.over and not self._is_over:
            self._is_over = True
            lines += [*self._record.remarks, title(self._record)]
        return lines

    def _of(self, step: Step) -> list[str]:
        head = [] if self._is_open else [f"[{step.number}/{step.total}] {step.text}"]
        fresh = step.written - self._written
        self._is_open, self._written = True, step.written
        kept = list(step.output)[-fresh:] if fresh else []
        hidden = [say("lines_left_out", count=fresh - len(kept))] if fresh > len(kept) else []
        return head + [f"      {line}" for line in (*hidden, *kept)]


def condition(step: Step) -> str:
    """Return how a step stands: its time, or that it was done before."""
    if step.state == "cached":
        return say("step_cached")
    seconds = say("step_seconds", seconds=f"{step.seconds:.1f}")
    return seconds if step.state == "done" else f"{say(f'step_{step.state}')}, {seconds}"


def shown(step: Step, *, whole: bool) -> list[str]:
    """Return the lines of a step's output that are shown, after a line for those that are not."""
    lines = list(step.output)[-(LINES if whole else WINDOW) :]
    hidden = step.written - len(lines)
    return [say("lines_left_out", count=hidden), *lines] if hidden else lines


def _step(step: Step) -> str:
    mark, colour = _MARKS[step.state]
    muted = f"color:{MUTED}"
    text = muted if step.state == "cached" else "color:inherit"
    head = (
        f'<div style="display:flex;gap:8px;align-items:baseline">'
        f'<span aria-hidden="true" style="color:{colour};width:1em">{mark}</span>'
        f'<span style="{muted};white-space:nowrap">{step.number}/{step.total}</span>'
        f'<code style="font-family:{MONO};font-size:12px;background:none;overflow-wrap:anywhere;'
        f'white-space:pre-wrap;{text}">{escape(step.text)}</code>'
        f'<span style="{muted};margin-left:auto;white-space:nowrap">'
        f"{escape(condition(step))}</span></div>"
    )
    pull = TransfersView(step.pull).html() if step.pull and step.pull.layers else ""
    indent = "margin:2px 0 4px 1.8em"
    body = f'<div style="{indent}">{pull}</div>' if pull else ""
    failed = step.state in ("failed", "interrupted")
    if failed and step.place is not None:
        body += f'<div style="{indent}">{_place(step)}</div>'
    rule = f"padding:2px 0;border-bottom:1px solid {BORDER}"
    return f'<div style="{rule}">{head}{body}{_output(step)}</div>'


def _output(step: Step) -> str:
    if not step.output:
        return ""
    over = step.state in ("done", "cached")
    whole = step.state != "running"
    text = escape("\n".join(shown(step, whole=whole)))
    lines = say("output_line") if step.written == 1 else say("output_lines", count=step.written)
    return (
        f'<details{"" if over else " open"} style="margin:2px 0 4px 1.8em">'
        f'<summary style="cursor:pointer;color:{MUTED};font-size:12px">{escape(lines)}</summary>'
        f'<pre style="font-family:{MONO};font-size:12px;margin:2px 0;max-height:320px;'
        f'overflow:auto;background:none;white-space:pre-wrap">{text}</pre></details>'
    )


def _place(step: Step) -> str:
    """The lines of the Dockerfile that the step came from."""
    assert step.place is not None
    rows = "".join(
        f'<div><span style="color:{MUTED};display:inline-block;width:3em" aria-hidden="true">'
        f"{number}</span>{escape(line)}</div>"
        for number, line in enumerate(step.place.text.splitlines()[:20], step.place.first)
    )
    heading = escape(say("dockerfile_line", line=step.place.first))
    return (
        f'<div style="color:{HOT};font-size:12px">{heading}</div>'
        f'<div style="font-family:{MONO};font-size:12px;white-space:pre-wrap;border-left:3px solid '
        f'{HOT};padding-left:8px">{rows}</div>'
    )
