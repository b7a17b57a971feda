"""The keys of build steps, and what earlier builds made of the same steps.

A step's key covers the step before it (in the end: the base image's id), the step as the image's
history shows it, in which COPY and ADD have the digest of their files and RUN its arguments, and
what else its result depends on. With ``--cache-from`` an image's own history is looked through: its
steps count as done as far as it has the same ones.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.build_cache import CacheRecord

if TYPE_CHECKING:
    from cellcrate_runtime.images import Image, ImageStore

__all__ = ["Done", "StepCache", "step_key"]


@dataclass(frozen=True, slots=True)
class Done:
    """A step that is done: when, and the layer that it made, if any."""

    created: str
    layer: NewLayer | None


def step_key(parent: str, description: str, more: Sequence[str] = ()) -> str:
    """The key of a step, 64 hexadecimal digits.

    Args:
        parent: The key of the step before, or what a stage begins with.
        description: The step, as the image's history shows it.
        more: What else its result depends on.
    """
    return hashlib.sha256(msgspec.json.encode([parent, description, *more])).hexdigest()


class StepCache:
    """Where one stage finds what was made before.

    Args:
        store: The images.
        enabled: Whether anything is looked up; what is made is kept in any case.
        sources: The images of ``--cache-from``.
    """

    def __init__(self, store: ImageStore, enabled: bool, sources: Sequence[Image] = ()) -> None:
        self._store = store
        self._enabled = enabled
        self._sources = sources

    def find(
        self, key: str, description: str, diff_ids: Sequence[str], history: Sequence[str]
    ) -> Done | None:
        """Return what a step made.

        Args:
            key: The step's key.
            description: The step.
            diff_ids: The layers before it.
            history: The descriptions of the steps before it, those of the base image included.
        """
        if not self._enabled:
            return None
        record = self._store.build_cache.get(key)
        if record is not None:
            found = self._of_record(record)
            if found is not None:
                record.uses += 1
                record.used_at = time.time()
                self._store.build_cache.put(record)
                return found
        for image in self._sources:
            found = _of_image(image, description, diff_ids, history)
            if found is not None:
                return found
        return None

    def keep(self, key: str, parent: str, description: str, done: Done) -> None:
        """Write down what a step made."""
        layer = done.layer
        info = self._store.layers.info(layer.diff_id) if layer is not None else None
        now = time.time()
        self._store.build_cache.put(
            CacheRecord(
                key=key,
                parent=parent,
                description=description,
                created=done.created,
                layer=layer.descriptor if layer is not None else None,
                diff_id=layer.diff_id if layer is not None else "",
                size=info.size if info is not None else 0,
                made_at=now,
                used_at=now,
            )
        )

    def _of_record(self, record: CacheRecord) -> Done | None:
        if record.layer is None:
            return Done(record.created, None)
        if not self._store.blobs.has(record.layer.digest):
            return None  # somebody removed it by hand
        return Done(record.created, NewLayer(record.layer, record.diff_id))


def _of_image(
    image: Image, description: str, diff_ids: Sequence[str], history: Sequence[str]
) -> Done | None:
    """The next step of an image that began with the same steps and layers."""
    steps = image.config.history or []
    done = len(history)
    if [step.created_by or "" for step in steps[:done]] != list(history) or done >= len(steps):
        return None
    if image.diff_ids[: len(diff_ids)] != list(diff_ids):
        return None
    if sum(not step.empty_layer for step in steps[:done]) != len(diff_ids):
        return None
    step = steps[done]
    if step.created_by != description:
        return None
    if step.empty_layer:
        return Done(step.created or "", None)
    layer = NewLayer(image.manifest.layers[len(diff_ids)], image.diff_ids[len(diff_ids)])
    return Done(step.created or "", layer)
