"""The picture of a pull or a push: one bar for each layer."""

from __future__ import annotations

from dataclasses import dataclass

from cellcrate.images.progress import MOVING, OVER, LayerProgress, Transfers
from cellcrate.images.words import say
from cellcrate.widgets.html import FONT, GOOD, HOT, MONO, MUTED, TRACK, WARM, escape
from cellcrate.widgets.words import human_size

__all__ = ["TransfersView"]

BAR = 24  # letters of a bar in the text form
NAME = 12  # letters of a layer's id

_COLOURS = {
    "downloading": "var(--jp-brand-color1, #1976d2)",
    "uploading": "var(--jp-brand-color1, #1976d2)",
    "extracting": WARM,
    "retrying": HOT,
}


@dataclass(frozen=True, slots=True)
class TransfersView:
    """What is shown of a pull or a push, now or at its end."""

    transfers: Transfers

    def text(self) -> str:
        """Return the layers, a line each, below a line for the whole."""
        layers = self.transfers.layers.values()
        return "\n".join([self._title(), *map(_line, layers)])

    def html(self) -> str:
        """Return the layers, a bar each; at the end they are folded below the line for all."""
        rows = "".join(map(_row, self.transfers.layers.values()))
        title = f"<b>{escape(self._title())}</b>"
        grid = (
            '<div style="display:grid;grid-template-columns:auto auto minmax(80px,1fr) auto auto;'
            f'gap:3px 12px;align-items:center;max-width:760px;font-size:12px;margin-top:4px">{rows}'
            "</div>"
        )
        opened = "" if self.transfers.ended and not self.transfers.failure else " open"
        body = (
            f'<details{opened}><summary style="cursor:pointer">{title}</summary>{grid}</details>'
            if rows
            else title
        )
        return f'<div style="font-family:{FONT};font-size:13px">{body}</div>'

    def _title(self) -> str:
        transfers = self.transfers
        if transfers.failure:
            return say("transfer_failed", image=transfers.image)
        if not transfers.ended:
            doing = say("pushing" if transfers.upload else "pulling", image=transfers.image)
            return doing if transfers.layers else f"{doing}: {transfers.status}".rstrip(": ")
        if not transfers.layers:
            # Nothing was fetched layer by layer: the engine says best what it did.
            said = transfers.status.removeprefix("Status: ")
            return said or say("up_to_date", image=transfers.image)
        if transfers.present == len(transfers.layers):
            return say("up_to_date", image=transfers.image)
        done = say(
            "pushed" if transfers.upload else "pulled",
            image=transfers.image,
            layers=len(transfers.layers),
            size=human_size(transfers.transferred),
            seconds=f"{transfers.seconds:.1f}",
        )
        present = transfers.present
        return f"{done} ({say('there_already', count=present)})" if present else done


def _state(layer: LayerProgress) -> str:
    key = f"state_{layer.state}"
    try:
        return say(key)
    except KeyError:
        return layer.state


def _amount(layer: LayerProgress) -> str:
    if layer.state in OVER:
        return human_size(layer.transferred) if layer.transferred else ""
    if layer.total and layer.state in MOVING:
        return say("of_size", current=human_size(layer.current), total=human_size(layer.total))
    return human_size(layer.current) if layer.current else ""


def _pace(layer: LayerProgress) -> str:
    if not layer.rate or layer.seconds_left is None:
        return ""
    left = layer.seconds_left
    remaining = (
        say("seconds_left", seconds=f"{left:.0f}")
        if left < 100
        else say("minutes_left", minutes=f"{left / 60:.0f}")
    )
    return f"{say('rate', size=human_size(layer.rate))}, {remaining}"


def _line(layer: LayerProgress) -> str:
    filled = round(BAR * (layer.share or 0.0))
    bar = "#" * filled + "." * (BAR - filled)
    parts = (f"{layer.id[:NAME]:<{NAME}}", f"[{bar}]", _state(layer), _amount(layer), _pace(layer))
    return "  ".join(filter(None, parts))


def _row(layer: LayerProgress) -> str:
    state = _state(layer)
    muted = f' style="color:{MUTED};white-space:nowrap"'
    return (
        f'<code style="font-family:{MONO};font-size:11px">{escape(layer.id[:NAME])}</code>'
        f'<span style="white-space:nowrap">{escape(state)}</span>{_bar(layer, state)}'
        f"<span{muted}>{escape(_amount(layer))}</span><span{muted}>{escape(_pace(layer))}</span>"
    )


def _bar(layer: LayerProgress, state: str) -> str:
    share = layer.share
    # A bar without a value stands for work of unknown length (WAI-ARIA 1.2, "progressbar").
    value = "" if share is None else f' aria-valuenow="{100 * share:.0f}"'
    label = escape(say("layer_label", id=layer.id[:NAME], state=state))
    colour = MUTED if layer.state == "present" else _COLOURS.get(layer.state, GOOD)
    return (
        f'<div role="progressbar" aria-valuemin="0" aria-valuemax="100"{value} '
        f'aria-label="{label}" style="background:{TRACK};border-radius:3px;height:8px;'
        f'overflow:hidden"><div style="width:{100 * (share or 0):.1f}%;height:100%;'
        f'background:{colour}"></div></div>'
    )
