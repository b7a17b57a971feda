"""What the layers of an image that is built upon have, as a plan sees it."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from cellcrate_runtime.images.merged import MergedTree, Node
from cellcrate_runtime.images.packer.plan import Item

__all__ = ["UnpackedLayers"]


class UnpackedLayers:
    """Unpacked layers, topmost first, looked at as overlayfs would show them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._tree = MergedTree([str(folder) for folder in folders])

    def find(self, name: str) -> Item | None:
        """What lies under a name. A link among the folders above it is not followed."""
        node = self._tree.at(tuple(name.strip("/").split("/")))
        return _item(node) if node is not None else None


def _item(node: Node) -> Item:
    status = node.status
    return Item(
        type=stat.S_IFMT(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        mtime=int(status.st_mtime),
        source=Path(node.path) if stat.S_ISREG(status.st_mode) else None,
        target=node.link or "",
        size=status.st_size,
    )
