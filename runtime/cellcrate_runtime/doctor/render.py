"""A report as text for a terminal."""

from __future__ import annotations

import textwrap

from .report import Finding, Report, State

__all__ = ["render"]

_WIDTH = 88
_LABEL = 18

_MARKS: dict[State, str] = {"ok": "ok", "limited": "limited", "missing": "missing"}
_COLOURS: dict[State, str] = {"ok": "32", "limited": "33", "missing": "31"}


def render(report: Report, colour: bool = False) -> str:
    """Return a line for each finding, what is wrong with it and how to mend it, and the verdict.

    ``colour``: with the escape sequences of a terminal.
    """
    lines = []
    for finding in report.findings:
        lines += _finding(finding, colour)
    lines += ["", *textwrap.wrap(report.summary, _WIDTH)]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding, colour: bool) -> list[str]:
    mark = _MARKS[finding.state].ljust(8)
    if colour:
        mark = f"\x1b[{_COLOURS[finding.state]}m{mark}\x1b[0m"
    first, *more = _wrap(finding.meaning)
    lines = [f"{mark} {finding.name.ljust(_LABEL)} {first}", *more]
    indent = " " * (10 + _LABEL)
    if finding.reason:
        lines += textwrap.wrap(
            finding.reason,
            _WIDTH,
            initial_indent=f"{indent}why: ",
            subsequent_indent=f"{indent}     ",
        )
    if finding.remedy:
        lines.append(f"{indent}do:  {finding.remedy}")  # on one line, so that it can be copied
    return lines


def _wrap(text: str) -> list[str]:
    """Wrap a text in the column beside the name; the first line has no indent."""
    indent = " " * (10 + _LABEL)
    wrapped = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return [line.strip() if number == 0 else line for number, line in enumerate(wrapped)] or [""]
