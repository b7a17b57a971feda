"""The files of several layers, as a container sees them: each layer hides what is below it."""

from __future__ import annotations

from collections.abc import Sequence

from cellcrate.images.contents.model import Contents, Entry

__all__ = ["Files"]


class Files:
    """The folders of an image, asked for one by one and remembered.

    Args:
        contents: The way to look into the layers.
        diff_ids: Their digests, bottom first.
    """

    def __init__(self, contents: Contents, diff_ids: Sequence[str]) -> None:
        self.contents = contents
        self._diff_ids = list(diff_ids)
        self._known: dict[tuple[str, str], list[Entry]] = {}

    def listing(self, layer: str, path: str) -> list[tuple[Entry, str]]:
        """Return what is in a folder, each name with the layer that it comes from.

        Args:
            layer: The digest of a layer; "" means all of them together.
            path: The folder, without a slash at its beginning or end.

        Raises:
            EngineError: The engine does not say.
        """
        if layer:
            return [(entry, layer) for entry in self._of(layer, path)]
        found: dict[str, tuple[Entry, str]] = {}
        for diff_id in reversed(self._diff_ids):
            for entry in self._of(diff_id, path):
                found.setdefault(entry.name, (entry, diff_id))
            if self._hides(diff_id, path):
                break
        seen = (each for each in found.values() if each[0].kind != "removed")
        return sorted(seen, key=lambda each: (each[0].kind != "folder", each[0].name))

    def _of(self, diff_id: str, path: str) -> list[Entry]:
        key = diff_id, path
        if key not in self._known:
            self._known[key] = self.contents.listing(diff_id, path)
        return self._known[key]

    def _hides(self, diff_id: str, path: str) -> bool:
        """Whether a layer keeps what the layers below have in a folder from being seen."""
        parts = path.split("/") if path else []
        for depth, name in enumerate(parts):
            folder = "/".join(parts[:depth])
            for entry in self._of(diff_id, folder):
                if entry.name == name and (entry.kind != "folder" or entry.opaque):
                    return True
        return False
