"""Which repositories have a blob, as far as it went there or came from there.

A registry can be told to take a blob from another of its repositories, and then nothing has to be
sent. It is a note, no truth: what is wrong in it costs one request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from cellcrate_runtime.images.blobs import BlobStore
from cellcrate_runtime.images.files import locked, write_whole
from cellcrate_runtime.images.references import Reference

__all__ = ["Sources"]

_MOST = 8  # repositories noted for a blob


class Sources:
    """The file ``sources.json`` of a store."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._path = root / "sources.json"
        self._lock = root / "sources.lock"
        self._blobs = blobs

    def of(self, digest: str, domain: str) -> list[str]:
        """The repositories of a registry that have a blob, the latest first."""
        names = self._read().get(digest, [])
        return [name[len(domain) + 1 :] for name in names if name.startswith(f"{domain}/")]

    def add(self, digests: Iterable[str], repository: Reference) -> None:
        """Note that a repository has these blobs, and forget what is not in the store any more."""
        name = repository.name
        with locked(self._lock):
            before = self._read()
            known = {digest: names for digest, names in before.items() if self._blobs.has(digest)}
            for digest in digests:
                others = [other for other in known.get(digest, []) if other != name]
                known[digest] = [name, *others][:_MOST]
            if known != before:
                write_whole(self._path, msgspec.json.encode(known), durable=False)

    def _read(self) -> dict[str, list[str]]:
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, list[str]])
        return {}
