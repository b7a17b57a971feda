"""An image is fetched, with its progress shown in the cell."""

from __future__ import annotations

import time
from typing import Any

from cellcrate.cells.request import BASE_IMAGE
from cellcrate.connection import Engine
from cellcrate.errors import EngineError
from cellcrate.explain import engine_errors

__all__ = ["Progress", "pull", "split_reference"]

#: The least time between two changes of what is shown, in seconds.
PACE = 0.2


def pull(engine: Engine, image: str, *, quiet: bool = False, platform: str | None = None) -> None:
    """Fetch an image; Cellcrate's engine packs its base image itself.

    Raises:
        EngineError: It cannot be had.
    """
    repository, tag = split_reference(image)
    progress = Progress(image)
    shown = Line(silent=quiet)
    try:
        with engine_errors():
            stream = engine.api.pull(repository, tag, stream=True, decode=True, platform=platform)
            for message in stream:
                progress.take(message)
                shown.show(progress.text())
    except EngineError as error:
        raise EngineError(
            f"{error} {_advice(image, embedded=engine.embedded)}", error.status
        ) from None
    finally:
        shown.clear()
    if progress.failure:
        raise EngineError(
            f"The image {image} cannot be had: {progress.failure} "
            f"{_advice(image, embedded=engine.embedded)}"
        )


def split_reference(image: str) -> tuple[str, str | None]:
    """Split ``registry:5000/name:tag`` into name and tag; a digest (@sha256:…) is such a tag."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    head, slash, last = image.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, tag if colon else "latest"


def _advice(image: str, *, embedded: bool) -> str:
    if embedded:
        return f"%%container without an image uses {BASE_IMAGE}, which needs no network."
    if split_reference(image)[0] == BASE_IMAGE:
        return (
            "It belongs to Cellcrate's own engine. Name an image of this engine after %%container, "
            "or set CELLCRATE_IMAGE to one."
        )
    return "Look at the name, and at the engine's way to the registry."


class Progress:
    """What a stream of progress messages says, in one line."""

    def __init__(self, image: str) -> None:
        self.image = image
        self.failure = ""
        self._layers: dict[str, tuple[int, int]] = {}
        self._status = ""

    def take(self, message: dict[str, Any]) -> None:
        """Take in a message of the stream (Docker Engine API, "ImageCreate")."""
        if "error" in message or "errorDetail" in message:
            detail = message.get("errorDetail") or {}
            self.failure = str(message.get("error") or detail.get("message") or "no reason given")
            return
        amounts = message.get("progressDetail") or {}
        if message.get("id") and amounts.get("total"):
            self._layers[message["id"]] = (int(amounts.get("current", 0)), int(amounts["total"]))
        self._status = str(message.get("status", self._status))

    def text(self) -> str:
        """Return the line to show."""
        done = sum(current for current, _ in self._layers.values())
        total = sum(size for _, size in self._layers.values())
        share = f" {100 * done // total}% of {total / 1e6:.1f} MB" if total else ""
        return f"{self.image}: {self._status}{share}"


class Line:
    """A line in a cell's output that changes, and leaves no trace."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._last = -PACE
        self._used = False

    def show(self, text: str) -> None:
        """Show a text in place of the one before, unless that is very young."""
        now = time.monotonic()
        if self._silent or now - self._last < PACE:
            return
        self._last = now
        from IPython.display import clear_output

        clear_output(wait=True)
        print(text, flush=True)
        self._used = True

    def clear(self) -> None:
        """Take the line away."""
        if self._used:
            from IPython.display import clear_output

            clear_output()
