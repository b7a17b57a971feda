"""A place in a cell's output whose content changes, at a pace that a person can read.

A notebook's front end replaces what was displayed under an id (Jupyter's messaging protocol,
"update_display_data"), so that the saved output is what stood there last. A terminal has its lines
written over. Where neither is possible, such as in a log, the last state alone is printed.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

__all__ = ["PACE", "Place", "Shown", "has_front_end", "live_bundle"]

#: The least time between two changes of what is shown, in seconds.
PACE = 0.2


class Shown(Protocol):
    """What can stand in such a place."""

    def text(self) -> str:
        """Return it as lines of text."""

    def html(self) -> str:
        """Return it as HTML."""


def has_front_end() -> bool:
    """Whether this is a Jupyter kernel, whose front end may show HTML and widgets."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def live_bundle(widget: Any, forms: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what displays a widget, and its metadata; other forms stand in where it cannot."""
    bundle = widget._repr_mimebundle_()
    view, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    return {**view, **forms}, metadata


class Place:
    """One place; it appears with the first content."""

    def __init__(self, *, silent: bool = False) -> None:
        self._silent = silent
        self._last = -PACE
        self._handle: Any = None
        self._lines = 0

    def show(self, content: Shown, *, final: bool = False) -> None:
        """Show content in place of what stood there, unless that is very young.

        Args:
            content: What to show.
            final: It is the last one, and is shown however young the one before is.
        """
        now = time.monotonic()
        if self._silent or (not final and now - self._last < PACE):
            return
        self._last = now
        if has_front_end():
            self._display(content)
        elif sys.stdout.isatty():
            self._write_over(content.text())
        elif final:
            print(content.text(), flush=True)

    def _display(self, content: Shown) -> None:
        from IPython.display import display

        bundle = {"text/plain": content.text(), "text/html": content.html()}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def _write_over(self, text: str) -> None:
        # Back to the first of the lines, and everything from there on erased (ECMA-48, CPL and ED).
        back = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        print(f"{back}{text}", flush=True)
        self._lines = text.count("\n") + 1

    def clear(self) -> None:
        """Take the content away, as if nothing had been there."""
        if self._handle is not None:
            from IPython.display import clear_output

            clear_output()
        elif self._lines:
            print(f"\x1b[{self._lines}F\x1b[J", end="", flush=True)
        self._handle, self._lines = None, 0
