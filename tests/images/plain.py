"""Images whose layers are not compressed, as images are that are made here."""

from __future__ import annotations

from collections.abc import Sequence

from cellcrate_runtime.images import Image, ImageStore
from cellcrate_runtime.images.documents import (
    Descriptor,
    ImageConfig,
    Manifest,
    MediaType,
    RootFS,
    encode,
)
from cellcrate_runtime.images.references import parse
from images.handmade import Entry, digest, make_archive

__all__ = ["add_plain"]


def add_plain(store: ImageStore, name: str, *layers: Sequence[Entry]) -> Image:
    """An image whose layers are plain archives, as they are when they are made here."""
    archives = [make_archive(layer) for layer in layers]
    config = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFS(diff_ids=list(map(digest, archives)))
    )

    def blob(media_type: str, content: bytes) -> Descriptor:
        stored = store.blobs.add(content)
        return Descriptor(media_type=media_type, digest=stored, size=len(content))

    with store.adding():
        manifest = Manifest(
            schema_version=2,
            media_type=MediaType.MANIFEST,
            config=blob(MediaType.CONFIG, encode(config)),
            layers=[blob(MediaType.LAYER, archive) for archive in archives],
        )
        store.name(store.blobs.add(encode(manifest)), parse(name))
    return store.get(name)
