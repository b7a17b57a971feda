"""Images: list, inspect, history, tag, remove, prune. Archives and pulls: ``image_transfer``."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import image_documents, timestamps
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.filters import Filters, InvalidFilterError
from cellcrate_runtime.images import (
    Image,
    ImageConflictError,
    ImageNotFoundError,
    ImageStore,
    ImageUse,
    Removal,
)
from cellcrate_runtime.images.dockerfile.patterns import compile_pattern
from cellcrate_runtime.images.references import Reference

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["routes"]

_LIST_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
_PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})


class List(Handler):
    """``GET /images/json``."""

    async def get(self) -> None:
        """List images, newest first."""
        filters = Filters.parse(self.query("filters"), _LIST_FILTERS)
        patterns = _patterns(filters)
        images = await asyncio.to_thread(_select, self.engine, filters, self.query_bool("all"))
        shared: dict[str, int] = {}
        if self.query_bool("shared-size"):
            shared = (await asyncio.to_thread(self.engine.images.disk_usage)).shared_sizes
        found = [(image, _names(image, patterns)) for image in images]
        self.write_json(
            [
                image_documents.summary_document(
                    image,
                    names=names,
                    shared=shared.get(image.id, -1),
                    version=self.api_version,
                )
                for image, names in found
                if names or patterns is None
            ]
        )


class Inspect(Handler):
    """``GET /images/{name}/json``."""

    def get(self, name: str) -> None:
        """Describe one image."""
        image = self.engine.images.get(name)
        layers = [self.engine.images.layers.path(diff_id) for diff_id in reversed(image.diff_ids)]
        self.write_json(image_documents.inspect_document(image, layers, self.api_version))


class History(Handler):
    """``GET /images/{name}/history``."""

    async def get(self, name: str) -> None:
        """List the steps in which an image came about."""
        image = self.engine.images.get(name)
        steps = await asyncio.to_thread(self.engine.images.history, image)
        self.write_json(image_documents.history_document(steps))


class Tag(Handler):
    """``POST /images/{name}/tag``."""

    async def post(self, name: str) -> None:
        """Give an image another name."""
        target = image_documents.repository_tag(self.query("repo"), self.query("tag"))
        image = await asyncio.to_thread(self.engine.images.tag, name, target)
        self.engine.events.publish("image", "tag", image.id, {"name": target})
        self.set_status(201)
        self.clear_header("Content-Type")
        self.finish()


class Remove(Handler):
    """``DELETE /images/{name}``."""

    async def delete(self, name: str) -> None:
        """Take a name away, and delete the image with its last name."""
        image = self.engine.images.get(name)
        removals = await asyncio.to_thread(
            self.engine.images.remove,
            name,
            force=self.query_bool("force"),
            keep_parents=self.query_bool("noprune"),
            uses=_uses(self.engine),
        )
        _publish(self.engine, image.id, removals)
        self.write_json([_removal(item) for item in removals])


class Prune(Handler):
    """``POST /images/prune``."""

    async def post(self) -> None:
        """Delete images without a name, or with ``dangling=false`` all that no container uses."""
        filters = Filters.parse(self.query("filters"), _PRUNE_FILTERS)
        deleted: list[Removal] = []
        for image in _prunable(self.engine, filters):
            try:
                removals = await asyncio.to_thread(
                    self.engine.images.remove, image.id, force=True, uses=_uses(self.engine)
                )
            except (ImageConflictError, ImageNotFoundError):
                continue  # it is in use by now, or went with one that was made from it
            _publish(self.engine, image.id, removals)
            deleted += removals
        freed = await asyncio.to_thread(_collect, self.engine.images)
        self.engine.events.publish("image", "prune", "", {"reclaimed": str(freed)})
        self.write_json(
            {
                "ImagesDeleted": [_removal(item) for item in deleted] or None,
                "SpaceReclaimed": freed,
            }
        )


def _collect(store: ImageStore) -> int:
    """Delete what nothing needs, downloads that broke off among it; return the bytes freed."""
    from cellcrate_runtime.images.registry.downloads import Downloads

    return Downloads(store.root, store.blobs).remove_old(0) + store.collect()


def _select(engine: Engine, filters: Filters, everything: bool) -> list[Image]:
    images = known = engine.images.images()
    for reference in filters.values("before"):
        limit = engine.images.get(reference).created_at
        images = [image for image in images if image.created_at < limit]
    for reference in filters.values("since"):
        limit = engine.images.get(reference).created_at
        images = [image for image in images if image.created_at > limit]
    if not everything:
        # What is there only because another image was made from it.
        parents = {image.parent for image in known}
        images = [image for image in images if image.references or image.id not in parents]
    return [image for image in images if _is_wanted(image, filters)]


def _is_wanted(image: Image, filters: Filters) -> bool:
    dangling = not image.repo_tags
    if "dangling" in filters and filters.flag("dangling") != dangling:
        return False
    until = filters.single("until")
    if until and image.created_at * timestamps.SECOND >= timestamps.parse(until):
        return False
    labels = image.config.execution.labels or {}
    return filters.labels(labels) and filters.without_labels(labels)


def _patterns(filters: Filters) -> list[re.Pattern[str]] | None:
    """The filter ``reference``, whose values are patterns of Go's path.Match; None without it."""
    if "reference" not in filters:
        return None
    try:
        # To path.Match two stars are as good as one.
        return [compile_pattern(re.sub(r"\*+", "*", text)) for text in filters.values("reference")]
    except ValueError as error:
        raise InvalidFilterError(f"invalid filter 'reference': {error}") from error


def _names(image: Image, patterns: list[re.Pattern[str]] | None) -> list[Reference]:
    """Those names of an image that fit a pattern, with or without what follows the repository."""
    return [
        name
        for name in image.references
        if patterns is None
        or any(
            pattern.fullmatch(text)
            for pattern in patterns
            for text in (name.familiar, name.familiar_name)
        )
    ]


def _prunable(engine: Engine, filters: Filters) -> list[Image]:
    used = {container.definition.image for container in engine.containers}
    dangling_only = filters.flag("dangling", default=True)
    narrowed = Filters({n: filters.values(n) for n in _PRUNE_FILTERS - {"dangling"}})
    images = engine.images.images()
    parents = {image.parent for image in images}
    return [
        image
        for image in images
        if image.id not in used
        and (not dangling_only or not (image.repo_tags or image.id in parents))
        and _is_wanted(image, narrowed)
    ]


def _uses(engine: Engine) -> list[ImageUse]:
    return [
        ImageUse(container.id, container.definition.image, container.state.running)
        for container in engine.containers
    ]


def _publish(engine: Engine, image_id: str, removals: list[Removal]) -> None:
    for removal in removals:
        if removal.untagged:
            engine.events.publish("image", "untag", image_id, {"name": removal.untagged})
        elif removal.deleted == image_id:
            engine.events.publish("image", "delete", image_id, {"name": image_id})


def _removal(removal: Removal) -> dict[str, str]:
    if removal.untagged:
        return {"Untagged": removal.untagged}
    return {"Deleted": removal.deleted or ""}


def routes() -> list[Route]:
    """Return the paths of this module."""
    name = r"/images/(?P<name>.+)"
    return [
        (r"/images/json", List, {}),
        (r"/images/prune", Prune, {}),
        (rf"{name}/json", Inspect, {}),
        (rf"{name}/history", History, {}),
        (rf"{name}/tag", Tag, {}),
        (name, Remove, {}),
    ]
