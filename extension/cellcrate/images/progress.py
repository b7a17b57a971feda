"""What a pull or a push says of its layers: how far each has come, how fast, and how long yet.

The messages are those of docker's own engine (Docker Engine API, "ImageCreate" and "ImagePush";
their statuses are moby's, distribution/pull_v2.go and push_v2.go).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LayerProgress", "Transfers"]

#: The states of a layer, in the order of its life.
STATES = {
    "Pulling fs layer": "waiting",
    "Preparing": "waiting",
    "Waiting": "waiting",
    "Downloading": "downloading",
    "Verifying Checksum": "verifying",
    "Download complete": "downloaded",
    "Extracting": "extracting",
    "Pull complete": "done",
    "Already exists": "present",
    "Pushing": "uploading",
    "Pushed": "done",
    "Layer already exists": "present",
}
MOVING = ("downloading", "extracting", "uploading")
OVER = ("done", "present")

#: A rate is measured over at least so long, in seconds, and new measurements count for so much.
SPAN = 0.5
WEIGHT = 0.4


@dataclass(slots=True)
class LayerProgress:
    """How far one layer has come.

    Attributes:
        id: The beginning of its digest.
        state: One of the values of STATES, or the engine's own word.
        current: The bytes of the present state that are done.
        total: The bytes of the present state; 0 where it is not known.
        rate: Bytes a second; 0 where it is not known yet.
        transferred: The bytes that came or went over the network.
    """

    id: str
    state: str = "waiting"
    current: int = 0
    total: int = 0
    rate: float = 0.0
    transferred: int = 0
    _mark: tuple[float, int] = (0.0, 0)

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None where it is not known."""
        if self.state in (*OVER, "downloaded", "verifying"):
            return 1.0
        return min(1.0, self.current / self.total) if self.total else None

    @property
    def seconds_left(self) -> float | None:
        """How long the present state may take yet."""
        if self.state not in MOVING or not self.rate or not self.total:
            return None
        return max(0, self.total - self.current) / self.rate

    def enter(self, state: str, now: float) -> None:
        """Be in a state from now on."""
        if state != self.state:
            if self.state == "downloading" and state in ("verifying", "downloaded", "extracting"):
                # Messages are sparse: the last one before the end may tell of half of it.
                self.transferred = self.total
            self.state, self.current, self.rate, self._mark = state, 0, 0.0, (now, 0)

    def advance(self, current: int, total: int, now: float) -> None:
        """Have come so far."""
        self.current, self.total = current, total or self.total
        if self.state != "extracting":
            self.transferred = max(self.transferred, current)
        since, before = self._mark
        if now - since >= SPAN and current >= before:
            measured = (current - before) / (now - since)
            self.rate = measured if not self.rate else _mixed(self.rate, measured)
            self._mark = now, current


def _mixed(before: float, measured: float) -> float:
    return (1 - WEIGHT) * before + WEIGHT * measured


@dataclass(slots=True)
class Transfers:
    """The layers of one pull or push.

    Attributes:
        image: The image's name.
        upload: Whether it is a push.
        layers: The layers, in the order in which the engine named them.
        status: What the engine said last of the whole.
        failure: Why it failed; "" where it did not.
        ended: Whether it is over.
        seconds: How long it took.
    """

    image: str
    upload: bool = False
    layers: dict[str, LayerProgress] = field(default_factory=dict)
    status: str = ""
    failure: str = ""
    ended: bool = False
    seconds: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _began: float | None = None

    def take(self, message: dict[str, Any]) -> None:
        """Take in a message of the stream."""
        now = self.clock()
        if self._began is None:
            self._began = now
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail") or {}
            self.failure = str(message.get("error") or detail.get("message") or "no reason given")
            return
        status, name = str(message.get("status") or "").strip(), str(message.get("id") or "")
        # Of the tag, which has an id too, engines say where it is pulled from.
        if not name or not _is_about_layer(status, message):
            self.status = status or self.status
            return
        layer = self.layers.setdefault(name, LayerProgress(name))
        layer.enter(_state(status), now)
        amounts = message.get("progressDetail") or {}
        if amounts.get("current") is not None or amounts.get("total"):
            layer.advance(int(amounts.get("current") or 0), int(amounts.get("total") or 0), now)

    def end(self) -> None:
        """Note that nothing more will come."""
        self.ended = True
        self.seconds = 0.0 if self._began is None else self.clock() - self._began

    @property
    def transferred(self) -> int:
        """The bytes that came or went."""
        return sum(layer.transferred for layer in self.layers.values())

    @property
    def present(self) -> int:
        """How many layers were there already."""
        return sum(layer.state == "present" for layer in self.layers.values())


def _is_about_layer(status: str, message: dict[str, Any]) -> bool:
    return _state(status) != status or bool((message.get("progressDetail") or {}).get("total"))


def _state(status: str) -> str:
    if status.startswith("Mounted from"):
        return "present"
    if status.startswith("Retrying in"):
        return "retrying"
    return STATES.get(status, status)
