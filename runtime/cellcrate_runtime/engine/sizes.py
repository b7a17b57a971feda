"""How much a container takes on disk: ``docker ps --size``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.pruning import disk_usage
from cellcrate_runtime.images import ImageError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["sizes"]


async def sizes(engine: Engine, container: Container) -> dict[str, int]:
    """Return the bytes that a container wrote, and those with its image's."""
    written = await asyncio.to_thread(disk_usage, container.folder / "upper")
    try:
        image = engine.images.get(container.definition.image).size
    except ImageError:
        image = 0
    return {"SizeRw": written, "SizeRootFs": written + image}
