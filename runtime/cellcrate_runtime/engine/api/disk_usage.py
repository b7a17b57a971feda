"""``GET /system/df``: what the engine's state takes on disk."""

from __future__ import annotations

import asyncio
from typing import Any

from cellcrate_runtime.engine import describing, image_documents
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.building.cache_pruning import cache_document
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.sizes import sizes

__all__ = ["routes"]

_TYPES = frozenset({"container", "image", "volume", "build-cache"})


class DiskUsage(Handler):
    """What images and containers take on disk."""

    async def get(self) -> None:
        """Measure it, or with ``type`` some of it."""
        wanted = set(self.get_query_arguments("type")) or _TYPES
        if unknown := wanted - _TYPES:
            raise BadRequestError(f"unknown object type: {', '.join(sorted(unknown))}")
        answer: dict[str, Any] = {}
        if "image" in wanted:
            answer |= await self._images()
        if "container" in wanted:
            answer["Containers"] = await self._containers()
        if "volume" in wanted:
            answer["Volumes"] = []  # there are no named volumes
        if "build-cache" in wanted:
            answer |= await asyncio.to_thread(cache_document, self.engine)
        self.write_json(answer)

    async def _images(self) -> dict[str, Any]:
        usage = await asyncio.to_thread(self.engine.images.disk_usage)
        used = [container.definition.image for container in self.engine.containers]
        return {
            "LayersSize": usage.layers_size,
            "Images": [
                image_documents.summary_document(
                    image,
                    containers=used.count(image.id),
                    shared=usage.shared_sizes.get(image.id, 0),
                    version=self.api_version,
                )
                for image in self.engine.images.images()
            ],
        }

    async def _containers(self) -> list[dict[str, Any]]:
        return [
            describing.summary_document(self.engine, container)
            | await sizes(self.engine, container)
            for container in self.engine.containers
        ]


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/system/df", DiskUsage, {})]
