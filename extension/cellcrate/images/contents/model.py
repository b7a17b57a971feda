"""An image as a stack: the steps of its history, and what the layer of each does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["BIGGEST", "Contents", "Entry", "Layer", "Step", "readable", "steps_of_history"]

_SPACES = re.compile(r" {2,}")

#: How many of its biggest files are named of a layer.
BIGGEST = 5


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer.

    Attributes:
        diff_id: The digest of its archive, by which its files are asked for.
        size: The bytes of its files.
        added: Files that it adds.
        changed: Files that it puts in others' place.
        removed: Names that it takes away.
        biggest: Its biggest files, as (path, bytes).
        shared_with: The names of the images that have it too.
    """

    diff_id: str
    size: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    biggest: tuple[tuple[str, int], ...] = ()
    shared_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an image's history.

    Attributes:
        instruction: The instruction of the Dockerfile, as it was written.
        created: When, in RFC 3339.
        size: The bytes that it added, as the engine's own list has it.
        layer: Its layer; None where it changed settings alone, or where nobody has looked.
        has_layer: Whether it made a layer.
    """

    instruction: str
    created: str = ""
    size: int = 0
    layer: Layer | None = None
    has_layer: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder of a layer.

    Attributes:
        name: The name.
        kind: file, folder, link, removed or special.
        size: The bytes of a file.
        mode: Its permissions.
        target: Where a link leads.
        opaque: Whether a folder hides what the layers below have in it.
    """

    name: str
    kind: str
    size: int = 0
    mode: int = 0
    target: str = ""
    opaque: bool = False


class Contents(Protocol):
    """A way to look into one image."""

    def steps(self) -> list[Step]:
        """Return the steps, the oldest first, with their layers."""

    def listing(self, diff_id: str, path: str) -> list[Entry]:
        """Return what a layer has in a folder, folders first; nothing where it has none.

        The path has no slash at its beginning or end; "" is the root.
        """

    def content(self, diff_id: str, path: str, limit: int) -> tuple[bytes, int]:
        """Return the first bytes of a file, and how many it has.

        Raises:
            EngineError: The layer has no such file.
        """


def readable(instruction: str) -> str:
    """Return an instruction as it stood in the Dockerfile.

    The classic builder notes the shell that it calls, and ``#(nop)`` where it calls none; BuildKit
    adds a remark. Lines that went on leave their indentation behind.
    """
    text = _SPACES.sub(" ", instruction.strip())
    for prefix in ("/bin/sh -c #(nop) ", "/bin/sh -c #(nop)"):
        if text.startswith(prefix):
            return text.removeprefix(prefix).strip()
    text = text.removesuffix("# buildkit").strip()
    shell = "RUN /bin/sh -c "
    if text.startswith(shell):
        return f"RUN {text.removeprefix(shell)}"
    if text.startswith("/bin/sh -c "):
        return f"RUN {text.removeprefix('/bin/sh -c ')}"
    return text


def steps_of_history(history: Sequence[Mapping[str, Any]], layers: Sequence[Layer]) -> list[Step]:
    """Put the history of an image's configuration together with its layers.

    Source: OCI image-spec 1.1, config.md, "history".
    """
    remaining = iter(layers)
    steps = []
    for each in history:
        layer = None if each.get("empty_layer") else next(remaining, None)
        text = readable(str(each.get("created_by") or each.get("comment") or ""))
        created = str(each.get("created") or "")
        size = layer.size if layer else 0
        steps.append(Step(text, created, size, layer, layer is not None))
    steps += [Step("", "", layer.size, layer, True) for layer in remaining]
    return steps
