"""The buttons under a card: stop, start, restart."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Buttons"]

#: What each button does, in docker-py's words, and the states in which it can.
ACTIONS = (
    ("stop", "Stop", ("running", "restarting")),
    ("start", "Start", ("created", "exited")),
    ("restart", "Restart", ("running", "exited")),
)


class Buttons:
    """A row of buttons that act on one container.

    The action runs in a thread: to stop a container may take ten seconds, in which the kernel has
    other things to do.

    Attributes:
        row: The widget.
    """

    def __init__(self, act: Callable[[str], None]) -> None:
        import ipywidgets

        self._act = act
        self._buttons = {}
        for action, label, _ in ACTIONS:
            button = ipywidgets.Button(
                description=label,
                disabled=True,
                tooltip=f"{label} the container",
                layout=ipywidgets.Layout(width="auto", height="26px"),
            )
            button.on_click(self._press(action))
            self._buttons[action] = button
        self.row = ipywidgets.HBox(list(self._buttons.values()))

    def _press(self, action: str) -> Callable[[Any], None]:
        def pressed(_: Any) -> None:
            for button in self._buttons.values():
                button.disabled = True
            threading.Thread(
                target=self._act, args=(action,), name=f"cellcrate-{action}", daemon=True
            ).start()

        return pressed

    def allow(self, state: str) -> None:
        """Let those buttons be pressed that make sense in a state."""
        for action, _, states in ACTIONS:
            self._buttons[action].disabled = state not in states

    def press(self, action: str) -> None:
        """Press a button, as a person would."""
        self._buttons[action].click()
