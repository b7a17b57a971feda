"""An image from an archive of files: ``docker import``."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from cellcrate_runtime.images.compression import decompressed
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.documents import (
    Execution,
    History,
    ImageConfig,
    Platform,
    RootFS,
)
from cellcrate_runtime.images.errors import InvalidArchiveError
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.references import Reference

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["import_archive"]

# Source: magic(5).
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\x00"
_PIECE = 1 << 18


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
        with _plain(archive) as plain:
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


@contextlib.contextmanager
def _plain(archive: Readable) -> Iterator[Readable]:
    """Read an archive that may be compressed in a way that layers are not, too.

    Raises:
        InvalidArchiveError: From reading: it is not well compressed.
    """
    source = io.BufferedReader(cast(io.RawIOBase, archive), _PIECE)
    start = source.peek(len(_XZ))
    try:
        if start.startswith(_BZIP2):
            with bz2.open(source) as file:
                yield cast(Readable, file)
        elif start.startswith(_XZ):
            with lzma.open(source) as file:
                yield cast(Readable, file)
        else:
            with decompressed(cast(io.RawIOBase, source)) as plain:
                yield plain
    except (zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise InvalidArchiveError(f"the archive is not well compressed: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        # How bz2 says it.
        raise InvalidArchiveError(f"the archive is not well compressed: {error}") from error
