"""What the layers of an image that is built upon have, as a plan sees it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.images.beneath import is_opaque, is_whiteout
from cellcrate_runtime.images.packer.plan import Item

__all__ = ["UnpackedLayers"]


@dataclass(frozen=True, slots=True)
class UnpackedLayers:
    """Unpacked layers, topmost first, looked at as overlayfs would show them."""

    folders: Sequence[Path]

    def find(self, name: str) -> Item | None:
        """What lies under a name. A link among the folders above it is not followed."""
        parts = name.strip("/").split("/")
        for layer in self.folders:
            path, status, lower_is_hidden = _look(layer, parts)
            if status is not None:
                return None if is_whiteout(status) else _item(path, status)
            if lower_is_hidden:
                return None
        return None


def _look(layer: Path, parts: Sequence[str]) -> tuple[Path, os.stat_result | None, bool]:
    """Walk down one layer, and note whether it hides what the layers below have there.

    Step by step, because a path with a link in it would be resolved on this machine.
    """
    path, hides = layer, False
    for part in parts[:-1]:
        path = path / part
        status = _status(path)
        if status is None:
            return path, None, hides
        if not stat.S_ISDIR(status.st_mode):
            return path, None, True
        hides = hides or is_opaque(path)
    path = path / parts[-1]
    return path, _status(path), hides


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _item(path: Path, status: os.stat_result) -> Item:
    return Item(
        type=stat.S_IFMT(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        mtime=int(status.st_mtime),
        source=path if stat.S_ISREG(status.st_mode) else None,
        target=os.readlink(path) if stat.S_ISLNK(status.st_mode) else "",
        size=status.st_size,
    )
