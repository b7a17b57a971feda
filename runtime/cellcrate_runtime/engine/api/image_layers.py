"""What is in an image's layers, for people who want to look. Docker has no such paths.

``GET /images/{name}/layers`` tells how the image came about: each step of its history, with what
its layer adds, changes and removes, and the images that have the same layer.
``GET /images/{name}/layers/{diff id}/files?path=`` lists a folder of one layer, and
``GET /images/{name}/layers/{diff id}/content?path=&limit=`` answers with a file's first bytes, and
in the header ``X-Cellcrate-Size`` with how many there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.errors import BadRequestError, NotFoundError
from cellcrate_runtime.images import Image, ImageStore
from cellcrate_runtime.images.contents import Changes, changes, content, listing

__all__ = ["routes"]

_T = TypeVar("_T")
#: The most bytes of a file that one answer has.
_MOST = 1 << 20


class Layers(Handler):
    """``GET /images/{name}/layers``."""

    async def get(self, name: str) -> None:
        """Describe the steps of an image, the oldest first."""
        self.write_json(await asyncio.to_thread(_describe, self.engine.images, name))


class Files(Handler):
    """``GET /images/{name}/layers/{diff id}/files``."""

    async def get(self, name: str, diff_id: str) -> None:
        """List a folder of a layer."""
        path = self.query("path")
        layer = await asyncio.to_thread(_layer, self.engine.images, name, diff_id)
        entries = await asyncio.to_thread(_found, lambda: listing(layer, _relative(path)), path)
        self.write_json(
            [{key.capitalize(): value for key, value in asdict(entry).items()} for entry in entries]
        )


class Content(Handler):
    """``GET /images/{name}/layers/{diff id}/content``."""

    async def get(self, name: str, diff_id: str) -> None:
        """Send the first bytes of a file of a layer."""
        path, limit = self.query("path"), self.query_int("limit", _MOST) or 0
        if not 0 <= limit <= _MOST:
            raise BadRequestError(f"limit={limit}: give a number of bytes up to {_MOST}")
        layer = await asyncio.to_thread(_layer, self.engine.images, name, diff_id)
        data, size = await asyncio.to_thread(
            _found, lambda: content(layer, _relative(path), limit), path
        )
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("X-Cellcrate-Size", str(size))
        self.finish(data)


def _found(look: Callable[[], _T], path: str) -> _T:
    try:
        return look()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"the layer has no {path or '/'} of that kind") from None
    except OSError as error:
        raise BadRequestError(f"{path}: {error.strerror}") from None


def _relative(path: str) -> str:
    """Return a path below a layer's root.

    Raises:
        BadRequestError: It leads upwards, or cannot be a path.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise BadRequestError(f"path={path!r} is not a path in a layer")
    return "/".join(parts)


def _layer(store: ImageStore, name: str, diff_id: str) -> Path:
    image = store.get(name)
    if diff_id not in image.diff_ids:
        raise NotFoundError(f"the image {name} has no layer {diff_id}")
    return store.lower_dirs(image)[::-1][image.diff_ids.index(diff_id)]


def _describe(store: ImageStore, name: str) -> dict[str, Any]:
    image = store.get(name)
    folders = store.lower_dirs(image)[::-1]
    others = [other for other in store.images() if other.id != image.id]
    layers = [_layer_document(store, image, folders, others, at) for at in range(len(folders))]
    remaining = iter(layers)
    steps = []
    for step in image.config.history or []:
        document: dict[str, Any] = {
            "Created": step.created or "",
            "CreatedBy": step.created_by or "",
            "Comment": step.comment or "",
        }
        layer = None if step.empty_layer else next(remaining, None)
        if layer is not None:
            document["Layer"] = layer
        steps.append(document)
    # A history may be missing, or shorter than the layers.
    steps += [{"Created": "", "CreatedBy": "", "Comment": "", "Layer": each} for each in remaining]
    return {"Id": image.id, "Steps": steps}


def _layer_document(
    store: ImageStore, image: Image, folders: list[Path], others: list[Image], at: int
) -> dict[str, Any]:
    diff_id = image.diff_ids[at]
    found = _changes(folders[at], tuple(folders[:at][::-1]))
    info = store.layers.info(diff_id)
    return {
        "DiffId": diff_id,
        "Digest": image.manifest.layers[at].digest,
        "Size": info.size if info else 0,
        "Added": found.added,
        "Changed": found.changed,
        "Removed": found.removed,
        "Biggest": [{"Path": path, "Size": size} for path, size in found.biggest],
        "SharedWith": [_name(other) for other in others if diff_id in other.diff_ids],
    }


@lru_cache(maxsize=512)
def _changes(layer: Path, below: tuple[Path, ...]) -> Changes:
    # A layer's folder never changes, and bears the digest of what is in it.
    return changes(layer, below)


def _name(image: Image) -> str:
    return next(iter(image.repo_tags), image.short_id)


def routes() -> list[Route]:
    """Return the paths of this module."""
    image = r"/images/(?P<name>.+)/layers"
    layer = rf"{image}/(?P<diff_id>sha256:[0-9a-f]{{64}})"
    return [
        (image, Layers, {}),
        (rf"{layer}/files", Files, {}),
        (rf"{layer}/content", Content, {}),
    ]
