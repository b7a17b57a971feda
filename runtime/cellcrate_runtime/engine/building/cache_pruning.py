"""The build cache as ``docker system df`` shows it, and as ``docker builder prune`` empties it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.building.run_mounts import remove_folder
from cellcrate_runtime.engine.pruning import disk_usage
from cellcrate_runtime.images.build_cache import CacheRecord

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["PruneWish", "cache_document", "prune_cache"]

_log = logging.getLogger("cellcrate.building")


def cache_document(engine: Engine) -> dict[str, Any]:
    """The members of ``GET /system/df`` that are about builds."""
    needed = _needed_by_images(engine)
    records = [_record(record, needed) for record in engine.images.build_cache.records()]
    mounts = [_mount(folder) for folder in engine.build_mounts.folders()]
    entries = records + mounts
    size = sum(entry["Size"] for entry in entries if not entry["Shared"])
    return {"BuildCache": entries, "BuilderSize": size}


class PruneWish:
    """What of the cache is to go.

    Args:
        everything: Also what images still need, and the folders of cache mounts.
        keep: How many bytes may stay; the oldest go first.
        before: Only what was last used before this, in nanoseconds since 1970.
        ids: Only these; empty for all.
    """

    def __init__(
        self,
        everything: bool = False,
        keep: int = 0,
        before: int | None = None,
        ids: tuple[str, ...] = (),
    ) -> None:
        self.everything = everything
        self.keep = keep
        self.before = before
        self.ids = ids

    def means(self, name: str, used_at: float) -> bool:
        """Whether an entry may go, by its id and when it was last used."""
        if self.ids and not any(name.startswith(one) for one in self.ids):
            return False
        return self.before is None or used_at * timestamps.SECOND < self.before


def prune_cache(engine: Engine, wish: PruneWish) -> tuple[list[str], int]:
    """Remove from the cache; return what was removed, and the bytes that this gave back.

    Without ``everything`` what images need stays, since removing it would give nothing back.
    """
    store = engine.images
    needed = _needed_by_images(engine)
    records = sorted(store.build_cache.records(), key=lambda record: record.used_at)
    kept = sum(record.size for record in records if record.diff_id not in needed)
    removed = []
    for record in records:
        in_use = bool(record.diff_id) and record.diff_id in needed
        if (in_use and not wish.everything) or not wish.means(record.key, record.used_at):
            continue
        if wish.keep and kept <= wish.keep:
            break
        store.build_cache.remove(record.key)
        kept -= 0 if in_use else record.size
        removed.append(record.key)
    freed = _remove_mounts(engine, wish, removed) if wish.everything and not wish.keep else 0
    return removed, freed + store.collect()


def _remove_mounts(engine: Engine, wish: PruneWish, removed: list[str]) -> int:
    freed = 0
    for folder in engine.build_mounts.free():
        if not wish.means(folder.name, folder.stat().st_mtime):
            continue
        size = disk_usage(folder)
        try:
            remove_folder(folder)
        except OSError as error:
            _log.warning("the cache folder %s cannot be removed: %s", folder, error)
            continue
        freed += size
        removed.append(folder.name)
    return freed


def _needed_by_images(engine: Engine) -> set[str]:
    return {diff_id for image in engine.images.images() for diff_id in image.diff_ids}


def _record(record: CacheRecord, needed: set[str]) -> dict[str, Any]:
    in_use = bool(record.diff_id) and record.diff_id in needed
    return {
        "ID": record.key[:24],
        "Parents": [record.parent[:24]] if record.parent else [],
        "Type": "regular",
        "Description": record.description,
        "InUse": in_use,
        "Shared": in_use,
        "Size": record.size,
        "CreatedAt": timestamps.format_rfc3339(int(record.made_at * timestamps.SECOND)),
        "LastUsedAt": timestamps.format_rfc3339(int(record.used_at * timestamps.SECOND)),
        "UsageCount": record.uses,
    }


def _mount(folder: Path) -> dict[str, Any]:
    moment = timestamps.format_rfc3339(folder.stat().st_mtime_ns)
    return {
        "ID": folder.name,
        "Parents": [],
        "Type": "exec.cachemount",
        "Description": "cached mount of RUN --mount=type=cache",
        "InUse": False,
        "Shared": False,
        "Size": disk_usage(folder),
        "CreatedAt": moment,
        "LastUsedAt": moment,
        "UsageCount": 0,
    }
