"""Plans become an image in the store."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.documents import (
    Descriptor,
    Execution,
    History,
    ImageConfig,
    MediaType,
    RootFS,
)
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.packer.plan import Plan
from cellcrate_runtime.images.packer.write import write_layer
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.store import ImageStore

__all__ = ["Step", "add_image"]


@dataclass(frozen=True, slots=True)
class Step:
    """A layer to be made, and what the image's history says of it."""

    plan: Plan
    created_by: str


def add_image(
    store: ImageStore,
    steps: Sequence[Step],
    execution: Execution,
    reference: Reference | None,
    *,
    base: Image | None = None,
) -> Image:
    """Write the layers, put an image together from them, and name it.

    The same steps on the same files give the same digests. The image's time is that of its newest
    file.

    Raises:
        PackError: A file changed or vanished meanwhile.
    """
    created = _timestamp(max(step.plan.newest() for step in steps))
    layers = list(base.manifest.layers) if base else []
    diff_ids = list(base.diff_ids) if base else []
    history = list(base.config.history or []) if base else []
    with store.adding():
        for step in steps:
            layer = _add_layer(store, step.plan)
            layers.append(layer.descriptor)
            diff_ids.append(layer.diff_id)
            history.append(History(created=created, created_by=step.created_by))
        config = ImageConfig(
            created=created,
            architecture=machine_architecture(),
            os="linux",
            config=execution,
            rootfs=RootFS(diff_ids=diff_ids),
            history=history,
        )
        return store.add_image(config, layers, reference)


def _add_layer(store: ImageStore, plan: Plan) -> NewLayer:
    """Write a layer's folder and its blob at once, uncompressed: see :func:`additions.add_layer`.

    Compressing would cost the first cell as much again as all the rest of the packing (gzip's
    fastest level, on one processor), to save some 40 MB of disk.
    """
    with store.layers.building() as folder, store.blobs.writing() as blob:
        info = write_layer(plan, folder / "fs", blob)
        store.layers.finish(folder, blob.digest, info)
    descriptor = Descriptor(media_type=MediaType.LAYER, digest=blob.digest, size=blob.size)
    return NewLayer(descriptor, blob.digest)


def _timestamp(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
