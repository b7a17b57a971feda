"""A card that follows its container.

A thread asks the engine once a second while the container runs, and every few seconds when it does
not, and sets the widget's value: a message to the widget itself, so that no cell's output is
touched. It never starts an engine, and it leaves when the container is gone.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import Any

from cellcrate.connection import Engine
from cellcrate.errors import CellcrateError
from cellcrate.explain import engine_errors
from cellcrate.widgets.buttons import Buttons
from cellcrate.widgets.card import Card
from cellcrate.widgets.sample import Sample

__all__ = ["LiveCard", "last_lines"]

#: The time between two looks at a container that runs, in seconds.
PACE = 1.0

#: The same for one that does not, which may be started again.
SLOW_PACE = 3.0

#: After so many looks in a row that found no change or no engine, the card stands still.
PATIENCE = 40

#: How many processor samples the curve shows.
HISTORY = 60

#: How many lines of the log the card shows.
LINES = 5


class LiveCard:
    """A widget that shows a container as it is now.

    Attributes:
        widget: What displays it: the card, and buttons under it.
        buttons: The buttons.
    """

    def __init__(self, engine: Engine, container: str, card: Card) -> None:
        import ipywidgets

        self._html = ipywidgets.HTML(value=card.html())
        self.buttons = Buttons(self._act)
        self.buttons.allow(card.state)
        self.widget = ipywidgets.VBox([self._html, self.buttons.row])
        self._api = engine.api
        self._container = container
        self._card = card
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._stats = _Stats()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._trouble = ""

    @property
    def html(self) -> str:
        """What is shown now."""
        return str(self._html.value)

    def follow(self) -> None:
        """Follow the container from now on, if that is not done already."""
        with self._lock:
            self._wake.set()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name=f"cellcrate-card-{self._card.name}", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        idle = 0
        while idle < PATIENCE:
            self._wake.clear()
            try:
                changed = self._look()
            except _Gone:
                self._show(self._card.removed())
                return
            except Exception:
                # The engine is away; the card keeps its last picture.
                changed = False
            running = self._card.state in ("running", "restarting")
            idle = 0 if changed or running else idle + 1
            self._wake.wait(PACE if running else SLOW_PACE)

    def _look(self) -> bool:
        """Ask the engine, show what it says, and tell whether anything changed."""
        from docker.errors import NotFound

        try:
            details = self._api.inspect_container(self._container)
            lines = last_lines(self._api, self._container)
            card = Card.of(details)
            sample = (
                self._stats.take(self._api, self._container) if card.state == "running" else None
            )
        except NotFound:
            raise _Gone from None
        if sample is not None:
            self._history.append(sample.cpu)
        return self._show(
            replace(
                card,
                sample=sample,
                history=tuple(self._history),
                lines=tuple(lines),
                trouble=self._trouble,
            )
        )

    def _show(self, card: Card) -> bool:
        self._card = card
        html = card.html()
        changed: bool = self._html.value != html
        if changed:
            self._html.value = html
        self.buttons.allow(card.state)
        return changed

    def _act(self, action: str) -> None:
        """Do what a button says; a refusal is shown under the card."""
        try:
            with engine_errors():
                getattr(self._api, action)(self._container)
        except CellcrateError as error:
            self._trouble = str(error)
        else:
            self._trouble = ""
        self.follow()


class _Gone(Exception):
    """The container was removed."""


class _Stats:
    """Takes one-shot statistics, and computes the processors in use between two of them.

    A one-shot answer comes at once, where docker's ordinary one waits for a second sample.
    """

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}

    def take(self, api: Any, container: str) -> Sample | None:
        stats = api.stats(container, stream=False, one_shot=True)
        before, self._before = self._before, stats.get("cpu_stats") or {}
        if not before:
            return None
        return Sample.of({**stats, "precpu_stats": before})


def last_lines(api: Any, container: str) -> list[str]:
    """Return the last lines of a container's log; none where its log cannot be read."""
    from docker.errors import APIError, NotFound

    try:
        log = api.logs(container, tail=LINES)
    except NotFound:
        raise
    except APIError:
        return []
    text: str = log.decode("utf-8", "replace")
    return text.splitlines()[-LINES:]
