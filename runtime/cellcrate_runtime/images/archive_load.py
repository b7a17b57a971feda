"""Images out of an archive: ``docker load``.

Three kinds are read: Docker's (``manifest.json``), OCI image layouts (``index.json``), and what is
both at once. The archive is read once, in its own order; every file in it goes into the store as
a blob, and what turns out to be no part of an image is collected afterwards.
"""

from __future__ import annotations

import platform
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.archive_documents import CONTAINERD_NAME, ArchivedImage
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.documents import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Index,
    Manifest,
    MediaType,
    decode,
    encode,
)
from cellcrate_runtime.images.errors import InvalidArchiveError, InvalidReferenceError
from cellcrate_runtime.images.plain_archive import plain_archive
from cellcrate_runtime.images.references import Reference, is_digest, parse
from cellcrate_runtime.images.table import REFERENCE_ANNOTATION
from cellcrate_runtime.images.tar_reader import FILE, HARD_LINK, LINK, Entry, read_tar
from cellcrate_runtime.images.tar_stream import Stream

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["Loaded", "load"]

BLOBS = "blobs/sha256/"
# These are read, not kept; none of them is ever large.
DOCUMENTS = ("index.json", "manifest.json", "oci-layout", "repositories")
LARGEST_DOCUMENT = 4 << 20
MOST_LINKS = 8
MOST_INDEXES = 4
# An image has some hundred layers at most. What has more files is no archive of images, but for
# instance one of a whole file system; better to say so before all of it has been stored.
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one familiar name or under none."""

    image_id: str
    reference: str | None


@dataclass(slots=True)
class _Contents:
    """What was in the archive: documents, blobs by their names, and links between names."""

    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def digest(self, name: str) -> str:
        """The blob that a name of the archive means, through links."""
        name = posixpath.normpath(name)
        for _ in range(MOST_LINKS):
            if name in self.blobs:
                return self.blobs[name]
            if name not in self.links:
                break
            name = self.links[name]
        raise InvalidArchiveError(f'the archive speaks of "{name}", which is not in it.')


@dataclass(slots=True)
class _Found:
    """A manifest that is in the store now, and the names that the archive has for it."""

    digest: str
    names: list[Reference] = field(default_factory=list)

    def names_or_none(self) -> list[Reference | None]:
        """Its names; None in their place for an image that has none."""
        return [*self.names] or [None]


def load(store: ImageStore, source: Readable) -> list[Loaded]:
    """Read an archive into the store; all its images, or none.

    Raises:
        InvalidArchiveError: It is no archive of images.
        CorruptContentError: Something in it does not have its digest.
    """
    try:
        with store.adding():
            found = _manifests(store, _read(store, source))
            # Unpacked before they are named: that checks the layers, down to their archives.
            for item in found:
                store.unpack(item.digest)
            for item in found:
                for name in item.names_or_none():
                    store.name(item.digest, name)
    finally:
        store.collect()
    return [
        Loaded(store.image_id(item.digest), name.familiar if name else None)
        for item in found
        for name in item.names_or_none()
    ]


def _read(store: ImageStore, source: Readable) -> _Contents:
    contents = _Contents()
    try:
        with plain_archive(source) as archive:
            for entry, stream in read_tar(archive):
                _take(store, entry, stream, contents)
    except InvalidArchiveError as error:
        raise InvalidArchiveError(f"this is not an archive of images: {error}") from error
    return contents


def _take(store: ImageStore, entry: Entry, stream: Stream, contents: _Contents) -> None:
    name = posixpath.normpath(entry.name).lstrip("/")
    if entry.kind == LINK:
        folder = posixpath.dirname(name)
        contents.links[name] = posixpath.normpath(posixpath.join(folder, entry.linkname))
    elif entry.kind == HARD_LINK:
        contents.links[name] = posixpath.normpath(entry.linkname).lstrip("/")
    elif entry.kind == FILE and name in DOCUMENTS:
        if entry.size > LARGEST_DOCUMENT:
            raise InvalidArchiveError(f'its "{name}" is larger than {LARGEST_DOCUMENT} bytes.')
        contents.documents[name] = b"".join(entry.pieces(stream))
    elif entry.kind == FILE:
        if entry.extents is not None:
            raise InvalidArchiveError(f'"{entry.shown}" has holes (write it without --sparse).')
        named = f"sha256:{name.removeprefix(BLOBS)}" if name.startswith(BLOBS) else ""
        with store.blobs.writing(named if is_digest(named) else None) as blob:
            for piece in entry.pieces(stream):
                blob.write(piece)
        contents.blobs[name] = blob.digest
        if len(contents.blobs) > MOST_FILES:
            raise _holds_no_image()


def _manifests(store: ImageStore, contents: _Contents) -> list[_Found]:
    """The images of the archive, from whichever documents it has."""
    archived = _archived_images(contents)
    if "index.json" in contents.documents and "oci-layout" in contents.documents:
        found = _from_index(store, contents)
        _add_tags(store, found, contents, archived)
    else:
        found = [_from_archived(store, contents, image) for image in archived]
    if not found:
        raise _holds_no_image()
    return found


def _holds_no_image() -> InvalidArchiveError:
    return InvalidArchiveError(
        "this archive holds no image: it has neither a manifest.json, as docker save writes, "
        "nor an index.json, as an OCI image layout has. "
        "(For the files of a container, use docker import.)"
    )


def _archived_images(contents: _Contents) -> list[ArchivedImage]:
    document = contents.documents.get("manifest.json", b"[]")
    try:
        return msgspec.json.decode(document, type=list[ArchivedImage])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArchiveError(f"manifest.json of the archive: {error}") from error


def _from_index(store: ImageStore, contents: _Contents) -> list[_Found]:
    found: dict[str, _Found] = {}
    for descriptor in decode(Index, contents.documents["index.json"]).manifests:
        manifest = _for_this_machine(store, contents, descriptor, MOST_INDEXES)
        item = found.setdefault(manifest, _Found(manifest))
        name = _name_of(descriptor)
        if name is not None and name not in item.names:
            item.names.append(name)
    return list(found.values())


def _for_this_machine(
    store: ImageStore, contents: _Contents, descriptor: Descriptor, depth: int
) -> str:
    """The manifest that a descriptor leads to, choosing by platform where there is a choice."""
    digest = contents.digest(BLOBS + descriptor.digest.removeprefix("sha256:"))
    if descriptor.media_type in MANIFEST_TYPES:
        return digest
    if descriptor.media_type not in INDEX_TYPES or depth == 0:
        raise InvalidArchiveError(
            f"the archive holds something of type {descriptor.media_type}, which is no image."
        )
    architecture = machine_architecture()
    offered = decode(Index, store.blobs.read(digest)).manifests
    for choice in offered:
        wanted = choice.platform
        if wanted is None or (wanted.os == "linux" and wanted.architecture == architecture):
            return _for_this_machine(store, contents, choice, depth - 1)
    names = ", ".join(sorted({c.platform.architecture for c in offered if c.platform}))
    raise InvalidArchiveError(
        f"the image is made for {names or 'nothing'}, and this machine is {architecture} "
        f"({platform.machine()})."
    )


def _name_of(descriptor: Descriptor) -> Reference | None:
    """The name in a descriptor's annotations: whole, or none where there is only a tag."""
    annotations = descriptor.annotations or {}
    text = annotations.get(CONTAINERD_NAME) or annotations.get(REFERENCE_ANNOTATION, "")
    if "/" not in text and CONTAINERD_NAME not in annotations:
        return None
    return _tagged(text)


def _add_tags(
    store: ImageStore,
    found: Sequence[_Found],
    contents: _Contents,
    archived: Sequence[ArchivedImage],
) -> None:
    """Add the names that only ``manifest.json`` has."""
    for image in archived:
        config = contents.digest(image.config)
        for item in found:
            if decode(Manifest, store.blobs.read(item.digest)).config.digest == config:
                names = [_tagged(tag) for tag in image.repo_tags or []]
                item.names += [name for name in names if name not in item.names]


def _from_archived(store: ImageStore, contents: _Contents, image: ArchivedImage) -> _Found:
    """Make a manifest for an image of Docker's archive, which has none of its own."""
    config = contents.digest(image.config)
    layers = [contents.digest(name) for name in image.layers or []]
    manifest = Manifest(
        schema_version=2,
        media_type=MediaType.MANIFEST,
        config=_descriptor(store, MediaType.CONFIG, config),
        layers=[_descriptor(store, MediaType.LAYER, layer) for layer in layers],
    )
    digest = store.blobs.add(encode(manifest))
    return _Found(digest, [_tagged(tag) for tag in image.repo_tags or []])


def _descriptor(store: ImageStore, media_type: str, digest: str) -> Descriptor:
    if media_type == MediaType.LAYER:
        with store.blobs.path(digest).open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                media_type = MediaType.LAYER_GZIP
    return Descriptor(media_type=media_type, digest=digest, size=store.blobs.size(digest))


def _tagged(text: str) -> Reference:
    try:
        return parse(text).with_default_tag()
    except InvalidReferenceError as error:
        raise InvalidArchiveError(f"an image of the archive has no good name: {error}") from error
