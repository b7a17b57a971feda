"""Images as one archive: ``docker save``.

The archive is two things at once, as Docker's are since version 25: an OCI image layout, and a
Docker archive whose ``manifest.json`` points at the same blobs. ``docker load``, ``podman load``
and ``skopeo`` read it, each from the side that it prefers.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

import msgspec

from cellcrate_runtime.images.archive_documents import CONTAINERD_NAME, ArchivedImage
from cellcrate_runtime.images.digests import Writable, hex_of
from cellcrate_runtime.images.documents import Descriptor, Index, Layout, MediaType, encode
from cellcrate_runtime.images.errors import InvalidReferenceError
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.table import REFERENCE_ANNOTATION

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["save"]


@dataclass(slots=True)
class _Saved:
    """An image to be saved, with those of its names that were asked for."""

    image: Image
    names: list[Reference] = field(default_factory=list)

    def names_or_none(self) -> list[Reference | None]:
        """The names; None in their place for an image that was asked for by its id."""
        return [*self.names] or [None]


def save(store: ImageStore, references: Sequence[str], output: Writable) -> None:
    """Write images, with the names that they were asked for by, as one archive.

    Raises:
        ImageNotFoundError: One of them is not in the store; nothing has been written then.
        CorruptContentError: A blob was changed on disk.
    """
    saved: dict[str, _Saved] = {}
    for reference in references:
        for image, name in _meant(store, reference):
            entry = saved.setdefault(image.id, _Saved(image))
            if name is not None and name not in entry.names:
                entry.names.append(name)
    with tarfile.open(fileobj=cast(IO[bytes], output), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", encode(Layout(image_layout_version="1.0.0")))
        _add(tar, "index.json", encode(_index(store, list(saved.values()))))
        _add(tar, "manifest.json", msgspec.json.encode([_archived(s) for s in saved.values()]))
        for folder in ("blobs", "blobs/sha256"):
            _add_folder(tar, folder)
        blobs = {d for s in saved.values() for d in _blobs(store, s.image)}
        for digest in sorted(blobs):
            _add_blob(store, tar, digest)


def _meant(store: ImageStore, reference: str) -> list[tuple[Image, Reference | None]]:
    """What a reference asks for: a name; all tags of a repository; or an image without a name."""
    try:
        wanted = parse(reference)
    except InvalidReferenceError:
        return [(store.get(reference), None)]
    if wanted == wanted.with_default_tag():
        image = store.get(reference)
        # "sha256:0123…" reads as a name with a tag too; but then the image does not have it.
        return [(image, wanted if wanted.digest is None and wanted in image.references else None)]
    tagged = [
        (image, name)
        for image in store.images()
        for name in image.references
        if name.name == wanted.name and name.digest is None
    ]
    return list(tagged) or [(store.get(reference), None)]


def _index(store: ImageStore, saved: Sequence[_Saved]) -> Index:
    return Index(
        schema_version=2,
        media_type=MediaType.INDEX,
        manifests=[
            Descriptor(
                media_type=entry.image.manifest.media_type or MediaType.MANIFEST,
                digest=entry.image.manifest_digest,
                size=store.blobs.size(entry.image.manifest_digest),
                annotations=_annotations(name) if name else None,
            )
            for entry in saved
            for name in entry.names_or_none()
        ],
    )


def _annotations(name: Reference) -> dict[str, str]:
    return {CONTAINERD_NAME: name.canonical, REFERENCE_ANNOTATION: name.tag or ""}


def _archived(saved: _Saved) -> ArchivedImage:
    return ArchivedImage(
        config=_path(saved.image.id),
        repo_tags=[name.familiar for name in saved.names] or None,
        layers=[_path(layer.digest) for layer in saved.image.manifest.layers],
    )


def _blobs(store: ImageStore, image: Image) -> list[str]:
    return [image.manifest_digest, *store.blobs_of(image.manifest_digest)]


def _path(digest: str) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    """Name a folder: skopeo, for an ordinary user, trips over folders that it must make up."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE
    entry.mode = 0o755
    tar.addfile(entry)


def _add_blob(store: ImageStore, tar: tarfile.TarFile, digest: str) -> None:
    entry = tarfile.TarInfo(_path(digest))
    entry.size = store.blobs.size(digest)
    entry.mode = 0o644
    with store.blobs.reading(digest) as blob:
        tar.addfile(entry, cast(IO[bytes], io.BufferedReader(blob)))
        blob.drain()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(content))
