"""Making images in the store: a layer from an archive, an image from layers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cellcrate_runtime.images.digests import HashingWriter, Readable
from cellcrate_runtime.images.documents import (
    Descriptor,
    ImageConfig,
    Manifest,
    MediaType,
    encode,
)
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.unpack import unpack_layer

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["NewLayer", "add_image", "add_layer"]


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer that is in the store.

    Attributes:
        descriptor: What a manifest says of it.
        diff_id: What a configuration says of it.
        empty: Whether it changes nothing, so that an image can do without it.
    """

    descriptor: Descriptor
    diff_id: str
    empty: bool = False


def add_layer(store: ImageStore, archive: Readable) -> NewLayer:
    """Store a layer's uncompressed archive as a blob, and unpack it, in one pass.

    It is not compressed: that would take longer than all the rest, and whoever sends layers over a
    network compresses them then. Call it in ``store.adding()``: nothing names the layer yet.

    Raises:
        InvalidArchiveError: It is no archive, or would write outside its folder. Nothing stays.
        StoreFullError: There is no room for it. Nothing stays.
        ImageError: The file system cannot hold an entry.
    """
    with store.layers.building() as folder, store.blobs.writing() as blob:
        source = _Copying(archive, blob)
        info = unpack_layer(source, folder / "fs")
        source.drain()
        store.layers.finish(folder, blob.digest, info)
    descriptor = Descriptor(media_type=MediaType.LAYER, digest=blob.digest, size=blob.size)
    return NewLayer(descriptor, blob.digest, empty=not info.files)


def add_image(
    store: ImageStore,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    name: Reference | None = None,
    parent: str = "",
) -> Image:
    """Write a configuration and a manifest, and enter the image into the table.

    Args:
        store: Where the layers are already.
        config: The configuration; it names the layers' archives too, ``rootfs.diff_ids``.
        layers: What the manifest says of them, bottom first.
        name: The image's name, which is taken from whichever image has it; None for none.
        parent: The id of the image that it was made from on this machine, if it was.

    Raises:
        ValueError: The configuration names another number of layers.
        StoreFullError: There is no room for it.
    """
    if len(layers) != len(config.rootfs.diff_ids):
        raise ValueError("a configuration and a manifest with different layers")
    with store.adding():
        content = encode(config)
        manifest = Manifest(
            schema_version=2,
            media_type=MediaType.MANIFEST,
            config=Descriptor(
                media_type=MediaType.CONFIG, digest=store.blobs.add(content), size=len(content)
            ),
            layers=list(layers),
        )
        digest = store.blobs.add(encode(manifest))
        if parent:
            store.notes.change(manifest.config.digest, parent=parent)
        store.name(digest, name)
    return store.get(manifest.config.digest)


class _Copying(io.RawIOBase):
    """Reads from a source, and writes what was read somewhere else."""

    def __init__(self, source: Readable, target: HashingWriter) -> None:
        super().__init__()
        self._source = source
        self._target = target

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        self._target.write(data)
        buffer[: len(data)] = data
        return len(data)

    def drain(self) -> None:
        """Read what is behind the archive's end: it is part of the blob."""
        while self.read(1 << 20):
            pass
