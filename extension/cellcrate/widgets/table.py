"""A table that shows itself in HTML where there is a browser, and as text where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cellcrate.widgets.html import BORDER, MONO, MUTED, escape

__all__ = ["Markup", "Table"]


class Markup(str):
    """HTML for a table's cell; its text form is ``text``."""

    text: str

    def __new__(cls, html: str, text: str) -> Markup:
        """Make one of its two forms."""
        self = super().__new__(cls, html)
        self.text = text
        return self


class Table:
    """Rows under headings.

    Attributes:
        columns: The headings.
        rows: The rows, each as long as the headings.
    """

    def __init__(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str = "empty"
    ) -> None:
        self.columns = list(columns)
        self.rows = [list(row) for row in rows]
        self._empty = empty

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        texts = [[_text(cell) for cell in row] for row in self.rows]
        table = [self.columns, *texts]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.columns))]
        lines = [
            "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if not self.rows:
            return f'<span style="color:{MUTED}">({escape(self._empty)})</span>'
        head = "".join(_cell("th", escape(column), muted=True) for column in self.columns)
        body = "".join(
            "<tr>" + "".join(_cell("td", _html(cell)) for cell in row) + "</tr>"
            for row in self.rows
        )
        return (
            '<div style="overflow-x:auto"><table style="border-collapse:collapse;'
            f'font-family:{MONO};font-size:12px"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _text(cell: str) -> str:
    return cell.text if isinstance(cell, Markup) else cell


def _html(cell: str) -> str:
    return str(cell) if isinstance(cell, Markup) else escape(cell)


def _cell(tag: str, content: str, *, muted: bool = False) -> str:
    colour = f"color:{MUTED};" if muted else ""
    style = f"{colour}text-align:left;padding:3px 12px 3px 0;border-bottom:1px solid {BORDER}"
    return f'<{tag} style="{style};white-space:pre">{content}</{tag}>'
