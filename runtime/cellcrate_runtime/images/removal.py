"""Removing images: what is refused, what is only a name taken away, and what is deleted.

The rules are Docker's: see the comments of ``ImageDelete`` in ``daemon/images/image_delete.go`` of
moby/moby, and ``docker rmi --help``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cellcrate_runtime.images.errors import ImageConflictError
from cellcrate_runtime.images.files import try_locked
from cellcrate_runtime.images.image import Image, ImageUse, Removal
from cellcrate_runtime.images.references import Reference, parse

if TYPE_CHECKING:
    from cellcrate_runtime.images.store import ImageStore

__all__ = ["Collected", "chain_ids", "collect", "remove"]

Collected = tuple[list[str], int]
SHORT_ID = 12


def remove(
    store: ImageStore,
    reference: str,
    force: bool,
    uses: Sequence[ImageUse],
    *,
    keep_parents: bool = False,
) -> list[Removal]:
    """Take a name away, and delete the image with its last name.

    Raises:
        ImageNotFoundError: There is no such image.
        ImageConflictError: It is in use; nothing has been removed.
    """
    image = store.get(reference)
    mine = [use for use in uses if use.image_id == image.id]
    if _is_id_of(image, reference):
        names = list(image.references)
        _refuse_if_needed(store, image, mine, force)
        if not force and not _is_single(names) and names:
            raise _conflict(image, "must be forced", "image is referenced in multiple repositories")
    else:
        names = _names_to_take(image, parse(reference).with_default_tag())
        last = len(names) == len(image.references)
        if last and mine and not force:
            raise ImageConflictError(
                f'conflict: unable to remove repository reference "{reference}" (must force) - '
                f"container {mine[0].container_id[:SHORT_ID]} is using its referenced image "
                f"{image.short_id}"
            )
        # A running container keeps the image, by then without a name, and so does one that was
        # made from it.
        if not last or any(use.running for use in mine) or store.notes.children(image.id):
            return _untag(store, names)
    records = _delete(store, image, names)
    if not keep_parents and any(record.deleted for record in records):
        records += _delete_nameless(store, image.parent, uses)
    return records


def collect(store: ImageStore) -> Collected:
    """Delete blobs and layers that nothing needs; return the layers deleted and the bytes freed.

    While somebody is adding content, which no image names yet, nothing is deleted.
    """
    layers: list[str] = []
    freed = 0
    with try_locked(store.content_lock) as alone:
        if not alone:
            return layers, freed
        images = store.images()
        needed_blobs = {
            digest
            for row in store.table.rows()
            for digest in (row.digest, *store.blobs_of(row.digest))
        }
        needed_layers = store.holds.diff_ids().union(*(image.diff_ids for image in images))
        # What a build made is kept for the next one, until the build cache is pruned.
        for record in store.build_cache.records():
            if record.layer is not None:
                needed_blobs.add(record.layer.digest)
                needed_layers.add(record.diff_id)
        for digest in set(store.blobs.all()) - needed_blobs:
            freed += store.blobs.remove(digest)
        for diff_id in set(store.layers.all()) - needed_layers:
            copies = store.shifted.size(diff_id)
            freed += store.layers.remove(diff_id) + copies
            layers.append(diff_id)
        store.notes.keep_only({image.id for image in images})
        store.blobs.remove_unfinished()
        store.layers.remove_unfinished()
    return layers, freed


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The ids of the stacks of layers, from one layer to all; what Docker calls deleted layers.

    Source: OCI image-spec 1.1, config.md, "Layer ChainID".
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        text = f"{chain[-1]} {diff_id}" if chain else None
        chain.append(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" if text else diff_id)
    return chain


def _delete(store: ImageStore, image: Image, names: Sequence[Reference]) -> list[Removal]:
    with store.table.changing() as rows:
        for name in names:
            rows.unname(name.canonical)
        # Asked of the table as it is now: somebody may have given the image a new name since.
        manifests = {row.digest for row in rows if store.image_id(row.digest) == image.id}
        renamed = any(row.reference for row in rows if row.digest in manifests)
        if not renamed:
            rows.drop(manifests)
            store.notes.forget(image.id)
    records = [Removal(untagged=name.familiar) for name in names]
    if renamed:
        return records
    gone = set(collect(store)[0])
    records.append(Removal(deleted=image.id))
    stacks = zip(image.diff_ids, chain_ids(image.diff_ids), strict=True)
    records += [
        Removal(deleted=chain) for diff_id, chain in reversed(list(stacks)) if diff_id in gone
    ]
    return records


def _delete_nameless(store: ImageStore, image_id: str, uses: Sequence[ImageUse]) -> list[Removal]:
    """Delete an image that was there for what was made from it, and those that it was made from."""
    records: list[Removal] = []
    used = {use.image_id for use in uses}
    known = {image.id: image for image in store.images()}
    while (image := known.get(image_id)) is not None:
        if image.references or image.id in used or store.notes.children(image.id):
            break
        records += _delete(store, image, [])
        image_id = image.parent
    return records


def _untag(store: ImageStore, names: Sequence[Reference]) -> list[Removal]:
    with store.table.changing() as rows:
        for name in names:
            rows.unname(name.canonical)
    return [Removal(untagged=name.familiar) for name in names]


def _names_to_take(image: Image, wanted: Reference) -> list[Reference]:
    """The name itself, and its repository's names by digest if it was the last one with a tag."""
    names = [name for name in image.references if _is_meant(name, wanted)]
    if wanted.digest is None:
        rest = [name for name in image.references if name not in names]
        same = [name for name in rest if name.name == wanted.name]
        if all(name.digest is not None for name in same):
            names += same
    return names


def _is_meant(name: Reference, wanted: Reference) -> bool:
    if wanted.digest is not None:
        return (name.name, name.digest) == (wanted.name, wanted.digest)
    return name == wanted


def _is_id_of(image: Image, text: str) -> bool:
    return image.id.startswith(text) or image.id.removeprefix("sha256:").startswith(text)


def _is_single(names: Sequence[Reference]) -> bool:
    """Whether all names are of one repository, with one tag at most."""
    tags = [name for name in names if name.digest is None]
    return bool(names) and len(tags) <= 1 and len({name.name for name in names}) == 1


def _refuse_if_needed(
    store: ImageStore, image: Image, uses: Sequence[ImageUse], force: bool
) -> None:
    if store.notes.children(image.id):
        raise _conflict(image, "cannot be forced", "image has dependent child images")
    for use in uses:
        container = use.container_id[:SHORT_ID]
        if use.running:
            raise _conflict(
                image, "cannot be forced", f"image is being used by running container {container}"
            )
        if not force:
            raise _conflict(
                image, "must be forced", f"image is being used by stopped container {container}"
            )


def _conflict(image: Image, remedy: str, reason: str) -> ImageConflictError:
    return ImageConflictError(f"conflict: unable to delete {image.short_id} ({remedy}) - {reason}")
