"""Unpacked layers: the folders that a container's root is stacked from.

Every layer is unpacked once, whichever images share it, as ``layers/<diff id>/fs``; beside it
``layer.json`` says how large it is, and beside that there may be copies for other owners
(:mod:`cellcrate_runtime.images.shifted_layers`). A layer is built under a temporary name and
renamed, so a folder of that name is always whole.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from cellcrate_runtime.images.digests import hex_of
from cellcrate_runtime.images.files import locked, room_needed
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.settling import Settler, is_trustworthy, mark
from cellcrate_runtime.images.subordinate import remove_tree

__all__ = ["LayerInfo", "LayerStore"]

TEMPORARY = ".new-"


class LayerStore:
    """The folder ``layers``. Safe to use from several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "layers"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._locks = root / "layer-locks"
        self._locks.mkdir(mode=0o700, exist_ok=True)
        self._settler = Settler()
        self._infos: dict[str, LayerInfo] = {}

    def path(self, diff_id: str) -> Path:
        """The folder of an unpacked layer's files, there or not."""
        return self.folder / hex_of(diff_id) / "fs"

    def has(self, diff_id: str) -> bool:
        """Whether a layer is unpacked, and whole also if the machine has crashed since."""
        return is_trustworthy(self.folder / hex_of(diff_id))

    def info(self, diff_id: str) -> LayerInfo | None:
        """What is known of an unpacked layer, None where it is not unpacked."""
        # A layer never changes, and who asks for images asks for all of these.
        if diff_id in self._infos:
            return self._infos[diff_id]
        try:
            content = (self.folder / hex_of(diff_id) / "layer.json").read_bytes()
        except FileNotFoundError:
            return None
        info = msgspec.json.decode(content, type=LayerInfo)
        self._infos[diff_id] = info
        return info

    def ensure(self, diff_id: str, unpack: Callable[[Path], LayerInfo]) -> Path:
        """Return the folder of a layer's files, calling `unpack` to fill it if there is none.

        Who else asks for the same layer meanwhile waits, and does not do the same work twice.
        """
        if not self.has(diff_id):
            with self._locked(diff_id):
                if not self.has(diff_id):
                    with self.building() as folder:
                        self._finish(folder, diff_id, unpack(folder / "fs"))
        return self.path(diff_id)

    @contextlib.contextmanager
    def building(self) -> Iterator[Path]:
        """Make a temporary folder with an empty ``fs`` in it; what is not finished is removed."""
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.folder))
        try:
            # The container's root folder takes its mode and owner from here.
            (folder / "fs").mkdir()
            (folder / "fs").chmod(0o755)
            with room_needed(self.folder):
                yield folder
        finally:
            remove_tree(folder)

    def finish(self, folder: Path, diff_id: str, info: LayerInfo) -> None:
        """Give a layer that was built its name. Somebody else's of the same name is as good."""
        with self._locked(diff_id):
            self._finish(folder, diff_id, info)

    def _locked(self, diff_id: str) -> AbstractContextManager[None]:
        """Hold a layer's lock, of which there are 256: these need no removing when layers go."""
        return locked(self._locks / hex_of(diff_id)[:2])

    def _finish(self, folder: Path, diff_id: str, info: LayerInfo) -> None:
        if self.has(diff_id):
            return
        self.remove(diff_id)
        (folder / "layer.json").write_bytes(msgspec.json.encode(info))
        mark(folder)
        final = self.folder / hex_of(diff_id)
        os.rename(folder, final)
        self._settler.add(final)

    def all(self) -> list[str]:
        """The diff ids of all unpacked layers."""
        return [f"sha256:{name}" for name in os.listdir(self.folder) if len(name) == 64]

    def remove(self, diff_id: str) -> int:
        """Remove an unpacked layer and return the bytes that this frees.

        It is renamed first, so that it never stands there in part under its own name.
        """
        layer = self.folder / hex_of(diff_id)
        if not layer.exists():
            return 0
        info = self.info(diff_id)
        self._infos.pop(diff_id, None)
        grave = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.folder))
        with contextlib.suppress(FileNotFoundError):
            os.rename(layer, grave / "layer")
        remove_tree(grave)
        return info.size if info else 0

    def remove_unfinished(self) -> None:
        """Remove what a crash left half-built. Call only while nobody is building."""
        for name in os.listdir(self.folder):
            if name.startswith(TEMPORARY):
                remove_tree(self.folder / name)
