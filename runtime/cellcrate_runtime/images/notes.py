"""What is known of images on this machine alone: no configuration and no registry has it.

Source: moby/moby keeps the same beside its images (``image/store.go``, "parent", "lastUpdated").
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cellcrate_runtime.images.digests import hex_of
from cellcrate_runtime.images.files import locked, write_whole

__all__ = ["Note", "Notes"]


class Note(msgspec.Struct, omit_defaults=True, frozen=True):
    """What is known of one image.

    Attributes:
        parent: The id of the image that it was made from here; empty if it was not.
        tagged: When it was last given a name, in nanoseconds since 1970; 0 for never.
    """

    parent: str = ""
    tagged: int = 0


class Notes:
    """The folder ``notes``: one file an image. What is lost of it was only of interest."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "notes"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._lock_path = root / "notes.lock"

    def get(self, image_id: str) -> Note:
        """What is known of an image; nothing where nothing was noted."""
        try:
            return msgspec.json.decode(self._path(image_id).read_bytes(), type=Note)
        except (FileNotFoundError, msgspec.DecodeError):
            return Note()

    def change(
        self, image_id: str, *, parent: str | None = None, tagged: int | None = None
    ) -> None:
        """Note something of an image; what is not given stays."""
        with locked(self._lock_path):
            old = self.get(image_id)
            new = Note(
                old.parent if parent is None else parent, old.tagged if tagged is None else tagged
            )
            write_whole(self._path(image_id), msgspec.json.encode(new), durable=False)

    def children(self, image_id: str) -> list[str]:
        """The ids of the images that were made from an image here."""
        return [child for child in self._all() if self.get(child).parent == image_id]

    def forget(self, image_id: str) -> None:
        """Forget an image."""
        self._path(image_id).unlink(missing_ok=True)

    def keep_only(self, image_ids: set[str]) -> None:
        """Forget all other images."""
        for image_id in set(self._all()) - image_ids:
            self.forget(image_id)

    def _all(self) -> list[str]:
        return sorted(f"sha256:{name}" for name in os.listdir(self.folder) if len(name) == 64)

    def _path(self, image_id: str) -> Path:
        return self.folder / hex_of(image_id)
