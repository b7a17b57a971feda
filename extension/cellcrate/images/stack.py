"""The picture of an image: what it is called and set to, and its layers, the last one on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cellcrate.images.contents.model import Layer, Step
from cellcrate.images.facts import Facts
from cellcrate.images.words import say
from cellcrate.widgets.html import BORDER, FONT, GOOD, HOT, MONO, MUTED, WARM, escape
from cellcrate.widgets.words import human_size

__all__ = ["Stack"]

#: How many names of images that share a layer are shown; the others are counted.
NAMES = 3
#: How many letters of an instruction the text form shows.
LETTERS = 60

# Tints that are seen on white and on black alike.
_OWN = "rgba(25, 118, 210, 0.22)"
_SHARED = "rgba(128, 128, 128, 0.22)"
_OWN_EDGE = "var(--jp-brand-color1, #1976d2)"
_SHARED_EDGE = "var(--jp-border-color0, #9e9e9e)"


@dataclass(frozen=True, slots=True)
class Stack:
    """What a saved notebook keeps of an image.

    Attributes:
        facts: What is known of the image.
        steps: The steps of its history, the oldest first.
        remark: Why the layers were not read; "" where they were.
        can_browse: Whether its files can be browsed below.
    """

    facts: Facts
    steps: Sequence[Step]
    remark: str = ""
    can_browse: bool = False

    def text(self) -> str:
        """Return the image as lines of text."""
        facts = self.facts
        head = [facts.title, facts.short_id, human_size(facts.size), facts.platform, self._count()]
        lines = ["  ".join(filter(None, head))]
        lines += [_line(step) for step in reversed(self.steps)]
        return "\n".join([*lines, f"({self.remark})"] if self.remark else lines)

    def html(self) -> str:
        """Return the image as a stack."""
        whole = sum(step.size for step in self.steps) or 1
        rows = "".join(_row(step, step.size / whole) for step in reversed(self.steps))
        note = say("static_note") if self.can_browse else ""
        notes = "".join(
            f'<div style="color:{MUTED};font-size:12px;margin-top:6px">{escape(each)}</div>'
            for each in (self.remark, note)
            if each
        )
        size = human_size(self.facts.size)
        caption = f"{say('stack_title')} · {say('legend_whole', size=size)}"
        return (
            f'<div style="border:1px solid {BORDER};border-radius:6px;padding:10px 14px;'
            f'max-width:860px;font-family:{FONT};font-size:13px;line-height:1.5">{self._head()}'
            f'<div style="color:{MUTED};font-size:12px;margin:8px 0 4px">{escape(caption)}</div>'
            f'<div role="list">{rows}</div>{notes}</div>'
        )

    def _count(self) -> str:
        count = sum(step.has_layer for step in self.steps)
        return say("layer") if count == 1 else say("layers", count=count)

    def _head(self) -> str:
        facts = self.facts
        amounts = [human_size(facts.size), self._count(), facts.platform, facts.created]
        rows = "".join(
            f'<span style="color:{MUTED}">{escape(word)}</span>'
            f'<code style="{_CODE};overflow-wrap:anywhere">{escape(value)}</code>'
            for word, value in facts.settings
        )
        return (
            '<div style="display:flex;gap:10px;align-items:baseline;flex-wrap:wrap">'
            f'<b style="font-size:15px">{escape(facts.title)}</b>'
            f'<code style="{_CODE};color:{MUTED}">{escape(facts.short_id)}</code>'
            f'<span style="color:{MUTED};margin-left:auto">'
            f"{escape(' · '.join(filter(None, amounts)))}</span></div>"
            '<div style="display:grid;grid-template-columns:auto 1fr;gap:0 12px;margin-top:4px;'
            f'font-size:12px">{rows}</div>{self._environment()}'
        )

    def _environment(self) -> str:
        variables = self.facts.environment
        if not variables:
            return ""
        text = escape("\n".join(variables))
        return (
            f'<details style="font-size:12px"><summary style="cursor:pointer;color:{MUTED}">'
            f"{escape(say('environment'))} ({len(variables)})</summary>"
            f'<pre style="{_CODE};margin:2px 0;white-space:pre-wrap;overflow-wrap:anywhere">'
            f"{text}</pre></details>"
        )


_CODE = f"font-family:{MONO};font-size:12px;background:none;padding:0"


def _line(step: Step) -> str:
    text = " ".join(step.instruction.split())
    text = text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
    if not step.has_layer:
        return f"  {text:<{LETTERS}}  -"
    parts = [f"  {text:<{LETTERS}}", f"{human_size(step.size):>10}"]
    if step.layer is not None:
        parts += [_counts_text(step.layer), _biggest_text(step.layer), _shared(step.layer)]
    return "  ".join(filter(None, parts)).rstrip()


def _counts_text(layer: Layer) -> str:
    return ", ".join(text for text, _ in _counts(layer))


def _biggest_text(layer: Layer) -> str:
    return ", ".join(f"{path} {human_size(size)}" for path, size in layer.biggest[:1])


def _counts(layer: Layer) -> list[tuple[str, str]]:
    """Return what a layer does, in words, each with its colour."""
    found = (
        ("added", layer.added, GOOD),
        ("changed", layer.changed, WARM),
        ("removed", layer.removed, HOT),
    )
    return [(say(key, count=f"{count:,}"), colour) for key, count, colour in found if count]


def _shared(layer: Layer) -> str:
    names = layer.shared_with
    if not names:
        return ""
    shown = list(names[:NAMES])
    if len(names) > NAMES:
        shown.append(say("shared_more", count=len(names) - NAMES))
    return say("shared_with", names=", ".join(shown))


def _row(step: Step, share: float) -> str:
    # JupyterLab gives code a colour of its own.
    colour = "inherit" if step.has_layer else MUTED
    instruction = (
        f'<code style="{_CODE};color:{colour};white-space:pre-wrap;overflow-wrap:anywhere">'
        f"{escape(step.instruction) or '&nbsp;'}</code>"
    )
    if not step.has_layer:
        return (
            f'<div role="listitem" title="{escape(say("settings"))}" style="margin:2px 0 2px 10px;'
            f'padding:0 10px;color:{MUTED};border-left:2px dotted {BORDER}">{instruction}</div>'
        )
    layer = step.layer
    shared = bool(layer and layer.shared_with)
    tint, edge = (_SHARED, _SHARED_EDGE) if shared else (_OWN, _OWN_EDGE)
    fill = f"linear-gradient(to right, {tint} {100 * share:.1f}%, transparent {100 * share:.1f}%)"
    details = _details(layer) if layer else ""
    return (
        f'<div role="listitem" style="margin:3px 0;border:1px solid {BORDER};border-left:5px solid '
        f'{edge};border-radius:4px;padding:5px 10px;background:{fill}">'
        '<div style="display:flex;gap:12px;align-items:baseline">'
        f'{instruction}<b style="margin-left:auto;white-space:nowrap">{human_size(step.size)}</b>'
        f"</div>{details}</div>"
    )


def _details(layer: Layer) -> str:
    counts = "".join(
        f'<span style="white-space:nowrap"><span aria-hidden="true" style="color:{colour}">●</span>'
        f" {escape(text)}</span>"
        for text, colour in _counts(layer)
    )
    shared = escape(_shared(layer) or say("only_here"))
    biggest = "".join(
        f'<span style="white-space:nowrap">{escape(path)} '
        f'<span style="color:{MUTED}">{human_size(size)}</span></span>'
        for path, size in layer.biggest
    )
    files = (
        f'<div style="{_CODE};font-size:11px;display:flex;flex-wrap:wrap;gap:0 14px" '
        f'aria-label="{escape(say("biggest"))}">{biggest}</div>'
        if biggest
        else ""
    )
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:0 14px;font-size:12px">{counts}'
        f'<span style="color:{MUTED};margin-left:auto">{shared}</span></div>{files}'
    )
