"""The store of images: names, manifests, blobs and unpacked layers under one folder.

The folder is an OCI image layout (image-spec 1.1, image-layout.md), so ``skopeo`` and others read
it as it is, with two additions: ``layers/`` and lock files. Every method may be called from any
thread, and by several processes at once; all of them read or write files, so an event loop calls
them in a worker thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cellcrate_runtime.images.blobs import BlobStore
from cellcrate_runtime.images.build_cache import BuildCache
from cellcrate_runtime.images.digests import Readable, Writable
from cellcrate_runtime.images.documents import (
    MANIFEST_TYPES,
    Descriptor,
    ImageConfig,
    Manifest,
    MediaType,
    decode,
)
from cellcrate_runtime.images.errors import (
    ImageError,
    InvalidArchiveError,
    InvalidReferenceError,
)
from cellcrate_runtime.images.files import locked
from cellcrate_runtime.images.holds import Holds
from cellcrate_runtime.images.image import DiskUsage, HistoryStep, Image, ImageUse, Removal
from cellcrate_runtime.images.layer_content import unpack_missing
from cellcrate_runtime.images.layers import LayerStore
from cellcrate_runtime.images.lookup import find_id
from cellcrate_runtime.images.notes import Notes
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.shifted_layers import ShiftedLayers
from cellcrate_runtime.images.table import ReferenceTable, Row
from cellcrate_runtime.linux.idmap import IDRange

if TYPE_CHECKING:
    from cellcrate_runtime.images.additions import NewLayer
    from cellcrate_runtime.images.archive_load import Loaded

__all__ = ["ImageStore"]


class ImageStore:
    """All images of one engine."""

    def __init__(self, root: Path) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self.blobs = BlobStore(root)
        self.layers = LayerStore(root)
        self.shifted = ShiftedLayers(root, self.layers)
        self.table = ReferenceTable(root)
        self.holds = Holds(root)
        self.notes = Notes(root)
        self.build_cache = BuildCache(root)
        # Held shared by those who add content, exclusively by the collector.
        self.content_lock = root / "content.lock"
        self._parsed: dict[str, tuple[Manifest, ImageConfig]] = {}

    def images(self) -> list[Image]:
        """All images, newest first."""
        rows: dict[str, list[Row]] = {}
        for row in self.table.rows():
            rows.setdefault(self.image_id(row.digest), []).append(row)
        found = [self._image(same) for same in rows.values()]
        return sorted(found, key=lambda image: image.created_at, reverse=True)

    def get(self, reference: str) -> Image:
        """Find an image by name, by id, or by the beginning of its id.

        Raises:
            ImageNotFoundError: There is none; AmbiguousImageError: there are several.
            InvalidReferenceError: The text can be neither a name nor an id.
        """
        rows = self.table.rows()
        found = find_id(reference, [(row.reference, self.image_id(row.digest)) for row in rows])
        return self._image([row for row in rows if self.image_id(row.digest) == found])

    def tag(self, source: str, target: str) -> Image:
        """Give an image another name. The name is taken from whichever image had it.

        Raises:
            ImageNotFoundError: There is no such image.
            InvalidReferenceError: The new name cannot be one, or is by digest.
        """
        name = parse(target)
        if name.digest is not None:
            raise InvalidReferenceError(
                f'"{target}" names an image by its digest, which cannot be chosen. '
                'Choose a tag: "name:tag".'
            )
        image = self.get(source)
        self.name(image.manifest_digest, name.with_default_tag())
        return self.get(image.id)

    def name(self, manifest_digest: str, reference: Reference | None) -> None:
        """Enter a manifest that is in the store into the table, under a name or under none."""
        row = Row(
            digest=manifest_digest,
            size=self.blobs.size(manifest_digest),
            media_type=_media_type(self._parse(manifest_digest)[0]),
            reference=None,
        )
        with self.table.changing() as rows:
            if reference is None:
                rows.keep(row)
            else:
                rows.name(row, reference.canonical)
                self.notes.change(self.image_id(manifest_digest), tagged=time.time_ns())

    def remove(
        self,
        reference: str,
        *,
        force: bool = False,
        uses: Iterable[ImageUse] | None = None,
        keep_parents: bool = False,
    ) -> list[Removal]:
        """Take a name away, and delete the image with its last name, as ``docker rmi`` does.

        Args:
            reference: A name, which is taken away; or an id, which deletes the image.
            force: Delete although stopped containers use it, or although it has several names.
            uses: The containers that there are; by default those that :meth:`hold` knows.
            keep_parents: Leave the images that it was made from, which nothing names any more.

        Raises:
            ImageNotFoundError: There is no such image.
            ImageConflictError: It is in use; the message says by what, and whether force helps.
        """
        from cellcrate_runtime.images.removal import remove

        known = self.holds.uses() if uses is None else list(uses)
        return remove(self, reference, force, known, keep_parents=keep_parents)

    def hold(self, container_id: str, image: Image) -> None:
        """Keep an image's layers for a container, whatever becomes of the image.

        Raises:
            ImageNotFoundError: The image has just been removed.
        """
        # A collector that has counted what is needed does not see this any more: wait for its end.
        with locked(self.content_lock, shared=True):
            # What a build has got so far is no image yet, but its layers are there.
            if not all(map(self.layers.has, image.diff_ids)):
                self.get(image.id)
            self.holds.take(container_id, image)

    def held_dirs(self, container_id: str, ids: IDRange | None = None) -> list[Path]:
        """The folders of a container's layers, topmost first, also if its image was removed.

        Args:
            ids: Have the files belong to these users, by copies of the layers that are made if they
                are not there; None for the layers themselves.

        Raises:
            ImageNotFoundError: The container holds nothing, or what it holds is gone.
            StoreFullError: There is no room for copies.
            The same as :meth:`lower_dirs`, where layers have to be unpacked again.
        """
        diff_ids = self.holds.get(container_id).diff_ids
        if not all(self.layers.has(diff_id) for diff_id in diff_ids):
            self.lower_dirs(self.get(self.holds.get(container_id).image_id))
        if ids is None:
            return [self.layers.path(diff_id) for diff_id in reversed(diff_ids)]
        with self.adding():
            return [self.shifted.ensure(diff_id, ids) for diff_id in reversed(diff_ids)]

    def unpacked_dirs(self, container_id: str, ids: IDRange | None = None) -> list[Path] | None:
        """The same where nothing has to be made, which is soon known; None where it has.

        Raises:
            ImageNotFoundError: The container holds nothing.
        """
        diff_ids = self.holds.get(container_id).diff_ids
        if not all(self.layers.has(diff_id) for diff_id in diff_ids):
            return None
        if ids is None:
            return [self.layers.path(diff_id) for diff_id in reversed(diff_ids)]
        if not all(self.shifted.has(diff_id, ids) for diff_id in diff_ids):
            return None
        return [self.shifted.path(diff_id, ids) for diff_id in reversed(diff_ids)]

    def release(self, container_id: str) -> None:
        """Let go what :meth:`hold` keeps. What nothing needs any more is deleted by `collect`."""
        self.holds.release(container_id)

    def collect(self) -> int:
        """Delete blobs and layers that no image and no container needs; return the bytes freed.

        Does nothing while somebody is adding images: the next call finds the same.
        """
        from cellcrate_runtime.images.removal import collect

        return collect(self)[1]

    def ensure_base(self, progress: Callable[[str], None] | None = None) -> Image:
        """Return the base image, packing it from this machine's programs on first use.

        Raises:
            PackError: This machine lacks something that the image cannot do without.
        """
        from cellcrate_runtime.images.packer.base import ensure_base

        return ensure_base(self, progress or (lambda _: None))

    def lower_dirs(self, image: Image) -> list[Path]:
        """The folders of an image's layers, topmost first, as overlayfs takes them.

        Layers that are not there are unpacked now.

        Raises:
            CorruptContentError: A blob was changed on disk.
            InvalidArchiveError: A layer is not an archive, or would write outside its folder.
            ImageError: A layer cannot be unpacked on this machine.
        """
        return self.unpack(image.manifest_digest)[::-1]

    def unpack(self, manifest_digest: str) -> list[Path]:
        """Unpack the layers of a manifest that is in the store; return them bottom first.

        Raises:
            The same as :meth:`lower_dirs`.
        """
        manifest, config = self._parse(manifest_digest)
        return self.unpack_layers(manifest.layers, config.rootfs.diff_ids)

    def unpack_layers(self, layers: Sequence[Descriptor], diff_ids: Sequence[str]) -> list[Path]:
        """Unpack layers that are in the store; return their folders in the same order.

        Raises:
            The same as :meth:`lower_dirs`.
        """
        if not all(map(self.layers.has, diff_ids)):
            blobs = [layer.digest for layer in layers]
            with self.adding():
                unpack_missing(self.layers, self.blobs, list(zip(blobs, diff_ids, strict=True)))
        return [self.layers.path(diff_id) for diff_id in diff_ids]

    def history(self, image: Image) -> list[HistoryStep]:
        """How an image came about, newest step first, with the bytes that each step added."""
        from cellcrate_runtime.images.history import history

        return history(self, image, [self._layer_size(pair) for pair in _pairs(image)])

    def add_layer(self, archive: Readable) -> NewLayer:
        """Store and unpack a layer; call it in :meth:`adding`. See :func:`additions.add_layer`."""
        from cellcrate_runtime.images.additions import add_layer

        return add_layer(self, archive)

    def add_image(
        self,
        config: ImageConfig,
        layers: Sequence[Descriptor],
        name: Reference | None = None,
        parent: str = "",
    ) -> Image:
        """Make an image of layers that are in the store. See :func:`additions.add_image`."""
        from cellcrate_runtime.images.additions import add_image

        return add_image(self, config, layers, name, parent)

    def save(self, references: Sequence[str], output: Writable) -> None:
        """Write images as one archive that ``docker load`` and ``podman load`` read.

        Raises:
            ImageNotFoundError: One of them is not in the store; nothing has been written then.
        """
        from cellcrate_runtime.images.archive_save import save

        save(self, references, output)

    def load(self, source: Readable) -> list[Loaded]:
        """Read an archive that ``docker save``, ``podman save`` or :meth:`save` wrote.

        Raises:
            InvalidArchiveError: It is no such archive. Nothing is kept of it.
            CorruptContentError: Something in it is damaged. Nothing is kept of it.
        """
        from cellcrate_runtime.images.archive_load import load

        return load(self, source)

    def disk_usage(self) -> DiskUsage:
        """What images take on disk."""
        images = self.images()
        sizes = {layer: self._layer_size(pair) for i in images for layer, pair in _by_layer(i)}
        holders = [layer for image in images for layer in set(image.diff_ids)]
        return DiskUsage(
            layers_size=sum(sizes.values()) + sum(map(self.shifted.size, sizes)),
            blobs_size=sum(self.blobs.size(digest) for digest in self.blobs.all()),
            shared_sizes={
                image.id: sum(sizes[d] for d in set(image.diff_ids) if holders.count(d) > 1)
                for image in images
            },
        )

    @contextlib.contextmanager
    def adding(self) -> Iterator[None]:
        """Hold off the collector while content is added that no image names yet.

        What was added is collected if the block fails, so that nothing half-done stays.
        """
        try:
            with locked(self.content_lock, shared=True):
                yield
        except BaseException:
            # What failed is of more interest than that this fails as well.
            with contextlib.suppress(ImageError, OSError):
                self.collect()
            raise

    def image_id(self, manifest_digest: str) -> str:
        """The id of the image that a manifest in the store describes."""
        return self._parse(manifest_digest)[0].config.digest

    def blobs_of(self, manifest_digest: str) -> list[str]:
        """The digests of the blobs that a manifest in the store points at."""
        manifest = self._parse(manifest_digest)[0]
        return [manifest.config.digest, *(layer.digest for layer in manifest.layers)]

    def _image(self, rows: Sequence[Row]) -> Image:
        """Put an image together from all of its rows in the table."""
        manifest, config = self._parse(rows[0].digest)
        pairs = zip(manifest.layers, config.rootfs.diff_ids, strict=True)
        note = self.notes.get(manifest.config.digest)
        return Image(
            id=manifest.config.digest,
            references=tuple(parse(row.reference) for row in rows if row.reference),
            config=config,
            manifest=manifest,
            manifest_digest=rows[0].digest,
            size=sum(self._layer_size(pair) for pair in pairs),
            parent=note.parent,
            tagged=note.tagged,
        )

    def _parse(self, manifest_digest: str) -> tuple[Manifest, ImageConfig]:
        """Read and check a manifest and its configuration; both never change."""
        known = self._parsed.get(manifest_digest)
        if known is not None:
            return known
        manifest = decode(Manifest, self.blobs.read(manifest_digest))
        config = decode(ImageConfig, self.blobs.read(manifest.config.digest))
        if len(manifest.layers) != len(config.rootfs.diff_ids):
            raise InvalidArchiveError(
                f"the image {manifest.config.digest} has {len(manifest.layers)} layers, and its "
                f"configuration names {len(config.rootfs.diff_ids)}."
            )
        self._parsed[manifest_digest] = manifest, config
        return manifest, config

    def _layer_size(self, layer: tuple[Descriptor, str]) -> int:
        descriptor, diff_id = layer
        info = self.layers.info(diff_id)
        return info.size if info else descriptor.size


def _pairs(image: Image) -> list[tuple[Descriptor, str]]:
    return list(zip(image.manifest.layers, image.diff_ids, strict=True))


def _by_layer(image: Image) -> list[tuple[str, tuple[Descriptor, str]]]:
    return [(pair[1], pair) for pair in _pairs(image)]


def _media_type(manifest: Manifest) -> str:
    kind = manifest.media_type
    return kind if kind in MANIFEST_TYPES and kind else MediaType.MANIFEST
