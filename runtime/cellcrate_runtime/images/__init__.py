"""OCI images: a program packed with its environment.

:class:`ImageStore` is the house's front door. Below it: ``references`` (names), ``documents``
(the specification's JSON), ``blobs`` and ``table`` (the OCI image layout on disk), ``layers`` and
``unpack`` (what overlayfs mounts), ``shifted_layers`` (the same for other owners), ``additions``
and ``layer_archive`` (what is made here), ``archive_save`` and ``archive_load``, ``removal``,
``registry`` (pull and push), and ``packer``, which makes images out of programs that this machine
has.
"""

from cellcrate_runtime.images.documents import Execution, Healthcheck, ImageConfig
from cellcrate_runtime.images.errors import (
    AmbiguousImageError,
    CorruptContentError,
    ImageConflictError,
    ImageError,
    ImageNotFoundError,
    InvalidArchiveError,
    InvalidReferenceError,
    LayerTooLargeError,
    PackError,
    StoreFullError,
    UnsafeArchiveError,
)
from cellcrate_runtime.images.image import (
    BASE_REFERENCE,
    DiskUsage,
    HistoryStep,
    Image,
    ImageUse,
    Removal,
)
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.store import ImageStore

__all__ = [
    "BASE_REFERENCE",
    "AmbiguousImageError",
    "CorruptContentError",
    "DiskUsage",
    "Execution",
    "Healthcheck",
    "HistoryStep",
    "Image",
    "ImageConfig",
    "ImageConflictError",
    "ImageError",
    "ImageNotFoundError",
    "ImageStore",
    "ImageUse",
    "InvalidArchiveError",
    "InvalidReferenceError",
    "LayerTooLargeError",
    "PackError",
    "Reference",
    "Removal",
    "StoreFullError",
    "UnsafeArchiveError",
]
