"""What containers need of the store, written down where every process sees it.

A container's root is stacked from layers, which must stay as long as the container does, also when
its image is removed by a process that knows nothing of containers. So whoever makes a container
first takes a hold, and lets it go with the container.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.files import write_whole
from cellcrate_runtime.images.image import Image, ImageUse

__all__ = ["Hold", "Holds"]

_safe = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Hold(msgspec.Struct):
    """An image, and its layers, bottom first."""

    image_id: str
    diff_ids: list[str]


class Holds:
    """The folder ``holds``: one file a container."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "holds"
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def take(self, container_id: str, image: Image) -> None:
        """Write down that a container needs an image's layers.

        This is not forced to the disk: who knows the containers can write it anew after a crash of
        the machine, which leaves it empty or does not leave it.
        """
        hold = Hold(image.id, image.diff_ids)
        write_whole(self._path(container_id), msgspec.json.encode(hold), durable=False)

    def get(self, container_id: str) -> Hold:
        """What a container holds.

        Raises:
            ImageNotFoundError: Nothing.
        """
        hold = self._hold(container_id)
        if hold is None:
            raise ImageNotFoundError(
                f"container {container_id} holds no image: it was made without one, or its hold "
                "was lost. Remove it and make it anew."
            )
        return hold

    def release(self, container_id: str) -> None:
        """Let a container's hold go; it is no error if there is none."""
        self._path(container_id).unlink(missing_ok=True)

    def containers(self) -> set[str]:
        """Who ever held something, also where what it was is lost."""
        return {name for name in os.listdir(self.folder) if _safe.fullmatch(name) is not None}

    def uses(self) -> list[ImageUse]:
        """All holds. Whether a container runs is not known here; they all say that it does not."""
        return [
            ImageUse(container_id, hold.image_id, running=False)
            for container_id, hold in self._read()
        ]

    def diff_ids(self) -> set[str]:
        """The layers that some container needs."""
        return {diff_id for _, hold in self._read() for diff_id in hold.diff_ids}

    def _read(self) -> list[tuple[str, Hold]]:
        found = [(name, self._hold(name)) for name in sorted(self.containers())]
        return [(name, hold) for name, hold in found if hold is not None]

    def _hold(self, container_id: str) -> Hold | None:
        try:
            return msgspec.json.decode(self._path(container_id).read_bytes(), type=Hold)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _path(self, container_id: str) -> Path:
        if _safe.fullmatch(container_id) is None:
            raise ValueError(f'"{container_id}" is not the id of a container')
        return self.folder / container_id
