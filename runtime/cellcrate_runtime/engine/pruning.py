"""Removal of all containers that do not run: ``docker container prune``."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import ConflictError
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.removing import remove

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["CONTAINER_FILTERS", "PrunedContainers", "disk_usage", "prune_containers"]

CONTAINER_FILTERS = frozenset({"label", "label!", "until"})

_PRUNED = (Status.CREATED, Status.EXITED, Status.DEAD)


class PrunedContainers(msgspec.Struct, rename="pascal"):
    """What was removed, and how many bytes that gave back."""

    containers_deleted: list[str]
    space_reclaimed: int


async def prune_containers(engine: Engine, filters: Filters) -> PrunedContainers:
    """Remove the containers that do not run and that the filters let through.

    Raises:
        EngineError: Files of one could not be removed.
    """
    until = filters.single("until")
    before = timestamps.parse(until) if until else None
    pruned = PrunedContainers([], 0)
    for container in engine.containers:
        if not _is_meant(container, filters, before):
            continue
        size = await asyncio.to_thread(disk_usage, container.folder / "upper")
        try:
            await remove(engine, container)
        except ConflictError:
            continue  # it was started, or removed, meanwhile
        pruned.containers_deleted.append(container.id)
        pruned.space_reclaimed += size
    engine.events.publish("container", "prune", "", {"reclaimed": str(pruned.space_reclaimed)})
    return pruned


def _is_meant(container: Container, filters: Filters, before: int | None) -> bool:
    return (
        container.state.status in _PRUNED
        and (before is None or container.definition.created < before)
        and filters.labels(container.labels)
        and filters.without_labels(container.labels)
    )


def disk_usage(folder: Path) -> int:
    """Return the bytes of the files in a folder, each counted once; 0 if there is none.

    What may not be read, being of another of the container's users, is not counted.
    """
    total, seen = 0, set()
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_size
    return total
