"""What the steps of builds made, kept so that the same step need not be done again.

One file a step, ``build-cache/<key>.json``. The key is a digest of everything that the step's
result depends on, that of the step before it included, so whoever has the key has the result. The
layers that records name are kept by the store as long as the records are.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cellcrate_runtime.images.documents import Descriptor
from cellcrate_runtime.images.files import write_whole

__all__ = ["BuildCache", "CacheRecord"]

_KEY = re.compile("[0-9a-f]{64}")


class CacheRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One step.

    Attributes:
        key: Its digest, 64 hexadecimal digits.
        parent: The key of the step before it; empty for the first of an image.
        description: The step, as ``docker history`` shows it.
        created: When it was done, as the image's history says.
        layer: What it made, as a manifest says; None if it changed no file.
        diff_id: The digest of the layer's archive; empty without a layer.
        size: The bytes of the layer's files.
        made_at: When, in seconds since 1970.
        used_at: When it was last used, in seconds since 1970.
        uses: How often it was used instead of doing the step again.
    """

    key: str
    parent: str = ""
    description: str = ""
    created: str
    layer: Descriptor | None = None
    diff_id: str = ""
    size: int = 0
    made_at: float
    used_at: float
    uses: int = 0


class BuildCache:
    """The folder ``build-cache`` of a store."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "build-cache"
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def get(self, key: str) -> CacheRecord | None:
        """The record of a step; None where there is none, or it cannot be read."""
        try:
            return msgspec.json.decode(self._path(key).read_bytes(), type=CacheRecord)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def put(self, record: CacheRecord) -> None:
        """Keep a record, in place of another of its key.

        Not forced to the disk: what a crash of the machine takes away is built again.
        """
        write_whole(self._path(record.key), msgspec.json.encode(record), durable=False)

    def records(self) -> Iterator[CacheRecord]:
        """All records."""
        for name in sorted(os.listdir(self.folder)):
            record = self.get(name.removesuffix(".json")) if _is_record(name) else None
            if record is not None:
                yield record

    def remove(self, key: str) -> None:
        """Let a record go; the store collects what it named."""
        with contextlib.suppress(FileNotFoundError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise ValueError(f'"{key}" is not the key of a build step')
        return self.folder / f"{key}.json"


def _is_record(name: str) -> bool:
    return name.endswith(".json") and _KEY.fullmatch(name.removesuffix(".json")) is not None
