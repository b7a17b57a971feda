"""The files of an image, browsed in place: a tree that is asked for folder by folder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from cellcrate.errors import CellcrateError
from cellcrate.images.contents.model import Contents, Entry, Layer
from cellcrate.images.merging import Files
from cellcrate.images.words import say
from cellcrate.widgets.html import BORDER, FONT, MONO, MUTED, escape
from cellcrate.widgets.words import human_size

__all__ = ["Browser"]

#: How many names of a folder are shown at once, and how many more on demand.
NAMES = 200
#: How many bytes of a file are shown.
BYTES = 16 << 10
#: How many letters of an instruction stand for its layer.
LETTERS = 60
INDENT = "16px"
HEIGHT = "340px"

_CLOSED, _OPEN = "▸", "▾"


class Browser:
    """A widget: a choice of layers, the tree of the chosen one, and what is in the chosen file.

    Attributes:
        widget: What displays it.
        choice: Which layer is shown.
        tree: The tree.
        preview: What is in the chosen file.
    """

    def __init__(
        self, contents: Contents, layers: Sequence[Layer], instructions: Sequence[str]
    ) -> None:
        import ipywidgets

        self._files = Files(contents, [layer.diff_id for layer in layers])
        self._lock = threading.RLock()
        named = [
            (_label(layer, text), layer.diff_id)
            for layer, text in zip(layers, instructions, strict=True)
        ]
        self.choice = ipywidgets.Dropdown(
            options=[(say("browse_all"), ""), *reversed(_distinct(named))],
            description=say("browse_layer"),
            layout=ipywidgets.Layout(width="100%", max_width="640px"),
        )
        self.choice.observe(lambda _: self._open_root(), names="value")
        box = {"border": f"1px solid {BORDER}", "height": HEIGHT, "overflow": "auto"}
        self.tree = ipywidgets.VBox(layout=ipywidgets.Layout(**box, flex="1 1 0", padding="4px"))
        self.preview = ipywidgets.HTML(
            layout=ipywidgets.Layout(**box, flex="1.4 1 0", padding="4px 8px")
        )
        panes = ipywidgets.HBox([self.tree, self.preview])
        body = ipywidgets.VBox([self.choice, panes])
        self.widget = ipywidgets.Accordion(
            children=[body],
            titles=(say("browse"),),
            layout=ipywidgets.Layout(max_width="860px"),
        )
        self._is_filled = False
        # Nothing is asked for before somebody wants to see it.
        self.widget.observe(lambda _: self._fill(), names="selected_index")

    def _fill(self) -> None:
        if self.widget.selected_index is not None and not self._is_filled:
            self._open_root()

    def _open_root(self) -> None:
        with self._lock:
            self._is_filled = True
            self._tell(escape(say("browse_pick")))
            self.tree.children = self._rows(str(self.choice.value), "", 0)

    def _rows(self, layer: str, path: str, depth: int) -> tuple[Any, ...]:
        """Return the rows of a folder; where it cannot be had, the preview says why."""
        try:
            found = self._files.listing(layer, path)
        except CellcrateError as error:
            self._tell(escape(say("browse_failed", error=error)))
            return ()
        if not found:
            return (_note(say("browse_empty"), depth),)
        return self._some(layer, path, depth, found)

    def _some(
        self, layer: str, path: str, depth: int, found: list[tuple[Entry, str]]
    ) -> tuple[Any, ...]:
        shown, rest = found[:NAMES], found[NAMES:]
        rows = [self._row(layer, path, depth, entry, source) for entry, source in shown]
        if rest:
            import ipywidgets

            more = _button(say("browse_more", count=len(rest)), depth)
            place = ipywidgets.VBox([more])
            more.on_click(
                lambda _: setattr(place, "children", self._some(layer, path, depth, rest))
            )
            rows.append(place)
        return tuple(rows)

    def _row(self, layer: str, path: str, depth: int, entry: Entry, source: str) -> Any:
        inner = f"{path}/{entry.name}" if path else entry.name
        if entry.kind == "folder":
            return self._folder(layer, inner, depth, entry)
        button = _button(f"   {_described(entry)}", depth)
        button.on_click(lambda _: self._show(source, inner, entry))
        return button

    def _folder(self, layer: str, path: str, depth: int, entry: Entry) -> Any:
        import ipywidgets

        hides = f"  ({say('entry_opaque')})" if entry.opaque else ""
        button = _button(f"{_CLOSED} {entry.name}/{hides}", depth)
        below = ipywidgets.VBox()
        below.layout.overflow = "visible"

        def pressed(_: Any) -> None:
            with self._lock:
                if button.description.startswith(_CLOSED):
                    below.children = self._rows(layer, path, depth + 1)
                    button.description = f"{_OPEN}{button.description[1:]}"
                else:
                    below.children = ()
                    button.description = f"{_CLOSED}{button.description[1:]}"

        button.on_click(pressed)
        box = ipywidgets.VBox([button, below])
        box.layout.overflow = "visible"
        return box

    def _show(self, layer: str, path: str, entry: Entry) -> None:
        with self._lock:
            self._tell(self._about(layer, path, entry))

    def _about(self, layer: str, path: str, entry: Entry) -> str:
        """Return what is known of a file, as HTML."""
        shown = f"/{path}"
        if entry.kind != "file":
            keys = {"link": "browse_link", "removed": "browse_removed"}
            key = keys.get(entry.kind, "browse_special")
            return escape(say(key, path=shown, target=entry.target))
        try:
            data, size = self._files.contents.content(layer, path, BYTES)
        except CellcrateError as error:
            return escape(say("browse_failed", error=error))
        text = _as_text(data, cut=size > len(data))
        head = f'<div style="color:{MUTED}">{escape(shown)} · {human_size(size)}</div>'
        if text is None:
            return head + escape(say("browse_binary", path=shown, size=human_size(size)))
        cut = ""
        if size > len(data):
            sizes = {"size": human_size(len(data)), "total": human_size(size)}
            cut = f'<div style="color:{MUTED}">{escape(say("browse_cut", **sizes))}</div>'
        return (
            f'{head}{cut}<pre style="font-family:{MONO};font-size:12px;line-height:1.4;'
            'margin:4px 0;background:none;white-space:pre-wrap;overflow-wrap:anywhere">'
            f"{escape(text)}</pre>"
        )

    def _tell(self, html: str) -> None:
        self.preview.value = (
            f'<div style="font-family:{FONT};font-size:12px;line-height:1.5">{html}</div>'
        )


def _label(layer: Layer, instruction: str) -> str:
    text = " ".join(instruction.split()) or layer.diff_id[:19]
    text = text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
    return f"{text}  ({human_size(layer.size)})"


def _distinct(named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Number labels that occur more than once: a choice knows its options by them."""
    seen: dict[str, int] = {}
    result = []
    for label, value in named:
        seen[label] = seen.get(label, 0) + 1
        result.append((label if seen[label] == 1 else f"{label} #{seen[label]}", value))
    return result


def _described(entry: Entry) -> str:
    if entry.kind == "link":
        return f"{entry.name} → {entry.target}"
    if entry.kind == "removed":
        return f"{entry.name}  ({say('entry_removed')})"
    return f"{entry.name}  {human_size(entry.size)}" if entry.kind == "file" else entry.name


def _button(text: str, depth: int) -> Any:
    import ipywidgets

    return ipywidgets.Button(
        description=text,
        layout=ipywidgets.Layout(
            width="auto",
            height="22px",
            min_height="22px",
            margin=f"0 0 0 calc({depth} * {INDENT})",
            padding="0 4px",
            align_self="flex-start",
        ),
        style={
            "button_color": "transparent",
            "font_family": MONO,
            "font_size": "12px",
            "text_color": "var(--jp-ui-font-color1, inherit)",
        },
    )


def _note(text: str, depth: int) -> Any:
    import ipywidgets

    return ipywidgets.HTML(
        f'<span style="color:{MUTED};font-size:12px;margin-left:calc({depth} * {INDENT})">'
        f"{escape(text)}</span>"
    )


def _as_text(data: bytes, *, cut: bool) -> str | None:
    """Return a file's text; None where it is none."""
    if b"\0" in data:
        return None
    # The last character may have been cut in two.
    for dropped in range(4 if cut else 1):
        try:
            return data[: len(data) - dropped].decode()
        except UnicodeDecodeError:
            continue
    return None
