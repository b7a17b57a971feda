"""A layer's blob becomes its folder: decompressed, verified and unpacked in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from os import cpu_count, geteuid
from pathlib import Path
from typing import TYPE_CHECKING

from cellcrate_runtime.images import subordinate
from cellcrate_runtime.images.blobs import BlobStore
from cellcrate_runtime.images.compression import decompressed
from cellcrate_runtime.images.digests import HashingReader
from cellcrate_runtime.images.errors import InvalidArchiveError
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.limits import LayerLimits, LimitedReader
from cellcrate_runtime.images.read_ahead import ReadAhead
from cellcrate_runtime.images.unpack import unpack_layer

if TYPE_CHECKING:
    from cellcrate_runtime.images.layers import LayerStore

__all__ = ["unpack_blob", "unpack_missing"]

_MOST_AT_ONCE = 4


def unpack_missing(layers: LayerStore, blobs: BlobStore, wanted: Sequence[tuple[str, str]]) -> None:
    """Unpack layers that are not there yet, several at once where other processes do it.

    Args:
        wanted: For each layer the digest of its blob and its diff id.

    Raises:
        The same as :func:`unpack_blob`; layers that were unpacked before that stay.
    """

    def ensure(blob: str, diff_id: str) -> None:
        layers.ensure(diff_id, lambda folder: unpack_blob(blobs, blob, diff_id, folder))

    missing = {diff_id: blob for blob, diff_id in wanted if not layers.has(diff_id)}
    if missing:
        with ThreadPoolExecutor(_at_once()) as threads:
            tasks = [threads.submit(ensure, blob, diff_id) for diff_id, blob in missing.items()]
            try:
                for task in tasks:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()  # those that have not begun


def _at_once() -> int:
    """So many layers.

    One layer has two threads at work. More of them in one process make each other wait for Python's
    interpreter lock between system calls: two layers of small files take longer together than one
    after the other.
    """
    elsewhere = geteuid() != 0 and subordinate.why_not() is None
    return min(_MOST_AT_ONCE, cpu_count() or 1) if elsewhere else 1


def unpack_blob(blobs: BlobStore, blob: str, diff_id: str, folder: Path) -> LayerInfo:
    """Unpack a blob, checking both its own digest and that of the archive inside it.

    Raises:
        CorruptContentError: A digest is wrong: the blob was changed on disk, or is not the layer.
        InvalidArchiveError: It is no layer, or too large a one, or would write outside its folder.
        ImageError: The file system cannot hold an entry.
        OSError: The disk is full.
    """
    with blobs.reading(blob) as packed:
        try:
            with ExitStack() as stack:
                archive = stack.enter_context(decompressed(packed))
                ahead = stack.enter_context(ReadAhead(archive))
                limited = LimitedReader(ahead, LayerLimits.from_environment().bytes, folder)
                checked = HashingReader(limited, diff_id, f"the layer in blob {blob}")
                info = unpack_layer(checked, folder)
                checked.drain()
        except InvalidArchiveError:
            # A damaged blob shows first as bad compression or a bad archive: say the cause.
            packed.drain()
            raise
        packed.drain()
    return info
