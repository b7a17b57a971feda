"""Layers as registries want them: compressed.

Layers that are made here are stored as plain archives. One that is pushed is compressed once; the
compressed blob belongs to the manifest that was pushed, which the store keeps under the name that
the push gives it, and so is found there by the next push. The same archive gives the same bytes: no
time and no name is in them (RFC 1952, MTIME and FNAME).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.images.documents import Descriptor, Manifest, MediaType, decode
from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.registry.progress import Cancellation

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["compressed"]

_PIECE = 1 << 20
_LEVEL = 6
_GZIP_WINDOW = 31  # zlib's code for its largest window, in a gzip header without a time
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # gzip (RFC 1952), zstd (RFC 8878)


def compressed(
    store: ImageStore, layer: Descriptor, diff_id: str, cancellation: Cancellation, *, docker: bool
) -> Descriptor:
    """Return a layer that is compressed: the same, or one that has the same archive in it.

    Args:
        docker: Whether it is for a manifest of Docker's, which has media types of its own.

    Raises:
        ImageNotFoundError: The layer's blob is not in the store.
        CorruptContentError: It was changed on disk.
        StoreFullError: There is no room for a compressed one.
    """
    if not _is_plain(store, layer.digest):
        return layer
    media_type = MediaType.DOCKER_LAYER_GZIP if docker else MediaType.LAYER_GZIP
    known = _known(store, diff_id)
    if known is None:
        known = _compress(store, layer.digest, cancellation)
    size = store.blobs.size(known)
    return msgspec.structs.replace(layer, media_type=media_type, digest=known, size=size)


def _is_plain(store: ImageStore, digest: str) -> bool:
    try:
        with store.blobs.path(digest).open("rb") as file:
            start = file.read(4)
    except FileNotFoundError as error:
        raise ImageNotFoundError(
            f"the layer {digest} of the image is missing from the store, so the image cannot be "
            "pushed. Pull, load or build it again."
        ) from error
    return not start.startswith(_COMPRESSED)


def _known(store: ImageStore, diff_id: str) -> str | None:
    """A gzipped blob of the archive, in any manifest of the store."""
    for row in store.table.rows():
        diff_ids = store.get(store.image_id(row.digest)).diff_ids
        if diff_id in diff_ids:
            layers = decode(Manifest, store.blobs.read(row.digest)).layers
            layer = layers[diff_ids.index(diff_id)]
            zipped = layer.media_type in (MediaType.LAYER_GZIP, MediaType.DOCKER_LAYER_GZIP)
            if zipped and store.blobs.has(layer.digest) and not _is_plain(store, layer.digest):
                return layer.digest
    return None


def _compress(store: ImageStore, digest: str, cancellation: Cancellation) -> str:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    with store.blobs.reading(digest) as source, store.blobs.writing() as target:
        while piece := source.read(_PIECE):
            cancellation.check()
            target.write(packer.compress(piece))
        target.write(packer.flush())
    return target.digest
