"""The steps in which an image came about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cellcrate_runtime.images.image import HistoryStep, Image

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["history"]


def history(store: ImageStore, image: Image, sizes: Sequence[int]) -> list[HistoryStep]:
    """List an image's steps, newest first, with the bytes that each added.

    The images that it was made from here are named beside the steps that they end with, one step
    after the other, as Docker has it (moby, daemon/images/image_history.go).

    Args:
        store: Where the image is.
        image: The image.
        sizes: The bytes in each of its layers, bottom first.
    """
    left = iter(sizes)
    steps = [
        HistoryStep(step, 0 if step.empty_layer else next(left, 0))
        for step in image.config.history or []
    ]
    steps.reverse()
    known = {other.id: other for other in store.images()} if image.parent else {}
    made: Image | None = image
    for number, step in enumerate(steps):
        if made is None:
            break
        steps[number] = replace(step, image_id=made.id, tags=made.repo_tags)
        made = known.get(made.parent)
    return steps
