"""An image from an archive of files: ``docker import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.documents import (
    Execution,
    History,
    ImageConfig,
    Platform,
    RootFS,
)
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.plain_archive import plain_archive
from cellcrate_runtime.images.references import Reference

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["import_archive"]


def import_archive(
    store: ImageStore,
    archive: Readable,
    name: Reference | None,
    *,
    execution: Execution,
    platform: Platform,
    created: str,
    comment: str,
) -> Image:
    """Make an image whose only layer is an archive, which may be compressed in any usual way.

    Args:
        store: Where it goes.
        archive: The files of its root.
        name: Its name; None for none.
        execution: How its containers run.
        platform: What machine it is for.
        created: When it was made, as RFC 3339 text.
        comment: What its history says.

    Raises:
        InvalidArchiveError: It is no archive, or would write outside its folder. Nothing stays.
        ImageError: It cannot be kept on this machine. Nothing stays.
    """
    with store.adding():
        with plain_archive(archive) as plain:
            layer = store.add_layer(plain)
        config = ImageConfig(
            created=created,
            architecture=platform.architecture,
            os=platform.os,
            variant=platform.variant,
            config=execution,
            rootfs=RootFS(diff_ids=[layer.diff_id]),
            history=[History(created=created, comment=comment)],
        )
        return store.add_image(config, [layer.descriptor], name)
