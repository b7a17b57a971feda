"""What was done to start a container, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cellcrate.widgets.html import BORDER, FONT, HOT, MONO, MUTED, escape

__all__ = ["COLOURS", "Step", "Trace", "dot"]

#: A colour for each subject, of the same lightness, so that none seems to matter more.
COLOURS = {
    "namespaces": "#1f77b4",
    "control group": "#e07b00",
    "mounts": "#2a9d4a",
    "devices": "#8c6d31",
    "protected paths": "#7b5fc0",
    "kernel parameters": "#17a2b8",
    "rights": "#c8385a",
    "program": "#888888",
}

_LONGEST = 100  # letters of a detail in the text form


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done.

    Attributes:
        time: When it was done, in milliseconds since the start began.
        by: The process, or the runtime, that did it.
        call: The system call.
        subject: What it is part of.
        target: What it was done to.
        detail: What was done.
    """

    time: float
    by: str
    call: str
    subject: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one start.

    Attributes:
        name: The container's name.
        id: Its id.
        runtime: The runtime that made it.
        method: ``notes`` of the runtime's own, or ``strace``.
        remarks: What one should know when one reads it.
        error: Why the start failed; empty if it did not.
        steps: What was done, in order.
    """

    name: str
    id: str
    runtime: str
    method: str
    remarks: tuple[str, ...]
    error: str
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, name: str, container_id: str, document: Mapping[str, Any]) -> Trace:
        """Return the trace that an engine's answer describes."""
        steps = tuple(
            Step(
                time=float(step["Time"]),
                by=step["By"],
                call=step["Call"],
                subject=step["Subject"],
                target=step["Target"],
                detail=step["Detail"],
            )
            for step in document["Steps"]
        )
        return cls(
            name=name,
            id=container_id,
            runtime=document["Runtime"],
            method=document["Method"],
            remarks=tuple(document["Remarks"]),
            error=document["Error"],
            steps=steps,
        )

    @property
    def summary(self) -> str:
        """What it is, in one line."""
        last = self.steps[-1].time if self.steps else 0.0
        how = "seen by strace" if self.method == "strace" else "as the runtime noted them"
        return f"{self.name}, by {self.runtime}: {len(self.steps)} steps in {last:.1f} ms, {how}"

    def __repr__(self) -> str:
        lines = [self.summary, *(f"({remark})" for remark in self.remarks), ""]
        wide = max((len(step.target) for step in self.steps), default=0)
        wide = min(wide, 40)
        for step in self.steps:
            detail = _shortened(step.detail)
            lines.append(
                f"{step.time:9.3f} ms  {step.subject:<17}  {step.target:<{wide}}  {detail}"
                f"  [{step.by}, {step.call}]"
            )
        if self.error:
            lines += ["", f"The start failed: {self.error}"]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(_row(step) for step in self.steps)
        head = "".join(
            f'<th style="{_CELL};color:{MUTED};position:sticky;top:0;'
            f'background:var(--jp-layout-color0, white)">{title}</th>'
            for title in ("ms", "subject", "of what", "what was done", "by")
        )
        failed = f'<div style="color:{HOT}">The start failed: {escape(self.error)}</div>'
        return (
            f'<div style="font-family:{FONT};font-size:13px"><b>{escape(self.name)}</b>'
            f"{escape(self.summary.removeprefix(self.name))}{remarks(self)}{_strip(self)}"
            f'<div style="overflow:auto;max-height:520px"><table style="border-collapse:collapse;'
            f'font-family:{MONO};font-size:12px"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>{failed if self.error else ''}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


_CELL = (
    f"text-align:left;vertical-align:top;padding:2px 12px 2px 0;border-bottom:1px solid {BORDER}"
)


def remarks(trace: Trace) -> str:
    """Return a trace's remarks as HTML."""
    return "".join(
        f'<div style="color:{MUTED};font-size:12px">{escape(remark)}</div>'
        for remark in trace.remarks
    )


def dot(subject: str) -> str:
    """Return a dot in a subject's colour."""
    return (
        f'<span style="display:inline-block;width:8px;height:8px;border-radius:4px;'
        f'margin-right:6px;background:{COLOURS.get(subject, MUTED)}"></span>'
    )


def _row(step: Step) -> str:
    plain = f"{_CELL};white-space:nowrap"
    return (
        f'<tr><td style="{plain};text-align:right">{step.time:.3f}</td>'
        f'<td style="{plain}">{dot(step.subject)}{escape(step.subject)}</td>'
        f'<td style="{_CELL};overflow-wrap:anywhere;min-width:200px">{escape(step.target)}</td>'
        f'<td style="{_CELL};overflow-wrap:anywhere">{escape(step.detail)}</td>'
        f'<td style="{plain};color:{MUTED}">{escape(step.by)}, {escape(step.call)}</td></tr>'
    )


def _strip(trace: Trace) -> str:
    """When what was done, as marks along a line, and which colour is what."""
    whole = max((step.time for step in trace.steps), default=0.0) or 1.0
    marks = "".join(
        f'<div title="{step.time:.3f} ms: {escape(step.target)}" style="position:absolute;'
        f"left:{100 * step.time / whole:.2f}%;width:2px;height:100%;"
        f'background:{COLOURS.get(step.subject, MUTED)}"></div>'
        for step in trace.steps
    )
    subjects = dict.fromkeys(step.subject for step in trace.steps)
    legend = "".join(
        f'<span style="margin-right:14px;white-space:nowrap">{dot(each)}{escape(each)}</span>'
        for each in subjects
    )
    return (
        f'<div style="position:relative;height:22px;margin:8px 4px 2px 0;border-bottom:1px solid '
        f'{BORDER}">{marks}</div><div style="display:flex;justify-content:space-between;'
        f'color:{MUTED};font-size:11px"><span>0 ms</span><span>{whole:.1f} ms</span></div>'
        f'<div style="font-size:12px;margin:2px 0 8px">{legend}</div>'
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
