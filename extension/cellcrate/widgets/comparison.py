"""Two starts side by side: what each runtime did to the same things."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from cellcrate.widgets.html import BORDER, FONT, MONO, MUTED, WARM, escape
from cellcrate.widgets.trace import COLOURS, Step, Trace, dot

__all__ = ["Comparison", "Row"]

Verdict = Literal["same", "different", "left", "right"]

_COLUMN = 44  # letters of a column in the text form
_SIGNS: dict[Verdict, str] = {"same": "=", "different": "≠", "left": "<", "right": ">"}
#: What an engine's process calls itself that prepares and accompanies a container.
SHIM = "shim"
_PROCESS = re.compile(r"^process \d+ ")
_SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Row:
    """What both did to one thing; nothing where one of them did nothing."""

    subject: str
    target: str
    left: tuple[Step, ...]
    right: tuple[Step, ...]
    verdict: Verdict


class Comparison:
    """Two traces, in rows by what was done to the same thing.

    Attributes:
        left: The one.
        right: The other.
        rows: What both did, by subject; within one in the order in which it was done.
    """

    def __init__(self, left: Trace, right: Trace) -> None:
        self.left = left
        self.right = right
        self.rows = _rows(left, right)

    @property
    def summary(self) -> str:
        """How much of it is the same, in one line."""
        counts = dict.fromkeys(_SIGNS, 0)
        for row in self.rows:
            counts[row.verdict] += 1
        left, right = _titles(self.left, self.right)
        return (
            f"{counts['same']} the same (=), {counts['different']} different (≠), "
            f"{counts['left']} by {left} alone (<), {counts['right']} by {right} alone (>)"
        )

    def __repr__(self) -> str:
        lines = [f"< {self.left.summary}", f"> {self.right.summary}"]
        both = dict.fromkeys((*self.left.remarks, *self.right.remarks))
        lines += [*(f"({remark})" for remark in both), self.summary]
        subject = ""
        for row in self.rows:
            if row.subject != subject:
                subject = row.subject
                lines += ["", subject.upper()]
            lines += _lines(row)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        left, right = (escape(title) for title in _titles(self.left, self.right))
        head = "".join(
            f'<th style="{_CELL};width:{w}">{t}</th>'
            for t, w in zip(("", "of what", left, right), ("2%", "22%", "38%", "38%"), strict=True)
        )
        subjects = dict.fromkeys(row.subject for row in self.rows)
        body = "".join(self._section(subject) for subject in subjects)
        both = dict.fromkeys((*self.left.remarks, *self.right.remarks))
        said = "".join(f'<div style="color:{MUTED}">{escape(each)}</div>' for each in both)
        return (
            f'<div style="font-family:{FONT};font-size:13px">'
            f"<div>{escape(self.left.summary)}</div><div>{escape(self.right.summary)}</div>"
            f'<div style="font-size:12px">{said}</div><div style="margin:6px 0"><b>'
            f"{escape(self.summary)}</b></div>"
            f'<table style="border-collapse:collapse;width:100%;table-layout:fixed;'
            f'font-family:{MONO};font-size:12px"><thead><tr>{head}</tr></thead>{body}</table></div>'
        )

    def _section(self, subject: str) -> str:
        rows = "".join(_html(row) for row in self.rows if row.subject == subject)
        title = (
            f'<tr><td colspan="4" style="padding:10px 0 2px;font-family:{FONT};text-align:left;'
            f'border-bottom:2px solid {COLOURS.get(subject, MUTED)}">{dot(subject)}'
            f"<b>{escape(subject)}</b></td></tr>"
        )
        return f"<tbody>{title}{rows}</tbody>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _titles(left: Trace, right: Trace) -> tuple[str, str]:
    """What the two are called: by their runtimes, or by their names where that is one."""
    if left.runtime == right.runtime:
        return left.name, right.name
    return left.runtime, right.runtime


def _rows(left: Trace, right: Trace) -> list[Row]:
    ours, theirs = _by_target(left.steps), _by_target(right.steps)
    keys = list(dict.fromkeys((*ours, *theirs)))
    order = [subject for subject in COLOURS if any(key[0] == subject for key in keys)]
    rows = []
    for subject in order:
        for key in (key for key in keys if key[0] == subject):
            one, other = ours.get(key, ()), theirs.get(key, ())
            rows.append(Row(*key, one, other, _verdict(left, one, right, other)))
    return rows


def _by_target(steps: Iterable[Step]) -> dict[tuple[str, str], tuple[Step, ...]]:
    found: dict[tuple[str, str], tuple[Step, ...]] = {}
    for step in steps:
        key = (step.subject, step.target)
        found[key] = (*found.get(key, ()), step)
    return found


def _verdict(left: Trace, one: tuple[Step, ...], right: Trace, other: tuple[Step, ...]) -> Verdict:
    if not other:
        return "left"
    if not one:
        return "right"
    return "same" if _said(left, one) == _said(right, other) else "different"


def _said(trace: Trace, steps: tuple[Step, ...]) -> list[str]:
    """What was done, without what two containers never share: ids, and process ids."""
    details = (_PROCESS.sub("", step.detail) for step in steps)
    return [detail.replace(trace.id[:_SHORT_ID], "ID") for detail in details]


def _lines(row: Row) -> list[str]:
    columns = [
        textwrap.wrap(row.target, 30, break_on_hyphens=False),
        _wrapped(row.left),
        _wrapped(row.right),
    ]
    height = max(len(column) for column in columns)
    padded = [[*column, *[""] * (height - len(column))] for column in columns]
    signs = [_SIGNS[row.verdict], *[" "] * height]
    return [
        f"{sign} {target:<30}  {one:<{_COLUMN}}  {other}".rstrip()
        for sign, target, one, other in zip(signs, *padded, strict=False)
    ]


def _by_shim(step: Step) -> str:
    """Say what was not the runtime's own doing, but the engine's part of every start."""
    return " (shim)" if step.by == SHIM else ""


def _wrapped(steps: tuple[Step, ...]) -> list[str]:
    lines = []
    for step in steps:
        lines += textwrap.wrap(
            f"{step.time:.1f} {step.detail}{_by_shim(step)}",
            _COLUMN,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
    return lines


_CELL = (
    f"text-align:left;vertical-align:top;padding:2px 10px 2px 0;border-bottom:1px solid {BORDER};"
    "overflow-wrap:anywhere"
)


def _html(row: Row) -> str:
    sign, colour = _SIGNS[row.verdict], MUTED if row.verdict == "same" else WARM
    cells = "".join(f'<td style="{_CELL}">{_steps(steps)}</td>' for steps in (row.left, row.right))
    return (
        f'<tr><td style="{_CELL};color:{colour}" title="{row.verdict}">{sign}</td>'
        f'<td style="{_CELL}">{escape(row.target)}</td>{cells}</tr>'
    )


def _steps(steps: tuple[Step, ...]) -> str:
    return "".join(
        f'<div title="{escape(step.by)}, {escape(step.call)}"><span style="color:{MUTED}">'
        f"{step.time:.1f}</span> {escape(step.detail)}"
        f'<span style="color:{MUTED}">{_by_shim(step)}</span></div>'
        for step in steps
    )
