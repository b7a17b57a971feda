"""What a container has changed, as a layer of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.container_files import files_of
from cellcrate_runtime.engine.own_threads import feed
from cellcrate_runtime.images.additions import NewLayer

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["layer_of"]


async def layer_of(engine: Engine, container: Container, latest: int | None = None) -> NewLayer:
    """Put what a container's writable layer holds into the store, as a layer.

    Call it in ``entered(engine.images.adding())``: nothing names the layer yet. A container that
    runs should be paused meanwhile, or what it writes may be in the layer in part.

    Args:
        engine: The engine.
        container: A container, running or not.
        latest: No file of the layer is to be later than this, in seconds since 1970.

    Raises:
        WorkError: The container has files that no layer can tell of, or they cannot be read.
        ImageError: There is no room for the layer, or the container's image is damaged.
    """
    files = await files_of(engine, container)
    async with await files.pack_layer(latest) as archive:
        return await feed(archive, engine.images.add_layer)
