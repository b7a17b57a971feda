"""An image goes to a registry: what is missing there, and its manifest when all of it is there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import msgspec

from cellcrate_runtime.images.documents import (
    Descriptor,
    ImageConfig,
    Manifest,
    MediaType,
    decode,
    encode,
)
from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.registry.compressing import compressed
from cellcrate_runtime.images.registry.connection import connect
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.progress import (
    Cancellation,
    Meter,
    Report,
    Step,
    silent,
)
from cellcrate_runtime.images.registry.repository import Repository
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.sources import Sources
from cellcrate_runtime.images.registry.transport import Transport
from cellcrate_runtime.images.registry.uploads import Outgoing, Uploader
from cellcrate_runtime.images.store import ImageStore

__all__ = ["Pushed", "push"]

_SHORT = 12  # digits of a digest, as docker shows a layer
_MOST_MOUNTS = 3  # repositories that are tried before a layer is sent


@dataclass(frozen=True, slots=True)
class Pushed:
    """A tag that a registry has now: the digest and the size in bytes of its manifest."""

    tag: str
    digest: str
    size: int


def push(
    store: ImageStore,
    reference: Reference,
    settings: RegistrySettings,
    credential: Credential = ANONYMOUS,
    *,
    report: Report = silent,
    cancellation: Cancellation | None = None,
) -> list[Pushed]:
    """Push an image under its name, or all that have the name if it has no tag.

    Raises:
        ImageNotFoundError: There is no image of that name here.
        RegistryError: The registry refuses; its manifest was not changed then.
    """
    cancellation = cancellation or Cancellation()
    report(Step(f"The push refers to repository [{reference.name}]"))
    names = _names(store, reference)
    transport = Transport(settings, cancellation)
    try:
        connection = connect(reference.domain, transport, credential)
        repository = Repository(connection, reference.path)
        return [
            _Push(store, name, repository, settings, report, cancellation).run() for name in names
        ]
    finally:
        transport.close()


def _names(store: ImageStore, reference: Reference) -> list[Reference]:
    """The tagged names that are meant.

    Raises:
        ImageNotFoundError: None is.
    """
    known = [parse(row.reference) for row in store.table.rows() if row.reference]
    if reference.digest is not None:
        raise ImageNotFoundError("cannot push a digest reference: give the image a tag")
    found = [
        name
        for name in known
        if name.name == reference.name and name.digest is None and reference.tag in (None, name.tag)
    ]
    if not found:
        raise ImageNotFoundError(
            f"An image does not exist locally with the tag: {reference.familiar_name}"
        )
    return sorted(found, key=lambda name: name.tag or "")


class _Push:
    """One image under one tag."""

    def __init__(
        self,
        store: ImageStore,
        name: Reference,
        repository: Repository,
        settings: RegistrySettings,
        report: Report,
        cancellation: Cancellation,
    ) -> None:
        self._store = store
        self._name = name
        self._repository = repository
        self._at_once = settings.uploads
        self._report = report
        self._cancellation = cancellation
        self._sources = Sources(store.root, store.blobs)

    def run(self) -> Pushed:
        """Send what is missing, then the manifest; remember what was sent.

        Raises:
            As :func:`push`.
        """
        # The compressed layers are nobody's until the manifest that has them gets its name.
        with self._store.adding():
            content, media_type, manifest = self._send_parts()
            tag = self._name.tag or ""
            self._cancellation.check()
            self._repository.put_manifest(tag, media_type, content)
            digest = self._store.blobs.add(content)
            self._store.name(digest, replace(self._name, tag=None, digest=digest))
        parts = [manifest.config, *manifest.layers]
        self._sources.add([part.digest for part in parts], self._name)
        pushed = Pushed(tag, digest, len(content))
        self._report(Step(f"{tag}: digest: {digest} size: {len(content)}"))
        aux = {"Tag": tag, "Digest": digest, "Size": len(content)}
        self._report(Step("", aux=aux))
        return pushed

    def _send_parts(self) -> tuple[bytes, str, Manifest]:
        """Send layers and configuration; return the manifest that describes them."""
        [row] = [row for row in self._store.table.rows() if row.reference == self._name.canonical]
        content = self._store.blobs.read(row.digest)
        manifest = decode(Manifest, content)
        config = self._store.blobs.read(manifest.config.digest)
        layers = self._send_layers(manifest, decode(ImageConfig, config).rootfs.diff_ids)
        self._send_blob(manifest.config, Meter(silent, "", "", 0))
        if layers != manifest.layers:
            manifest = msgspec.structs.replace(manifest, layers=layers)
            content = encode(manifest)
        return content, manifest.media_type or MediaType.MANIFEST, manifest

    def _send_layers(self, manifest: Manifest, diff_ids: Sequence[str]) -> list[Descriptor]:
        """Send layers, some at once; return them as they are in the registry."""
        docker = manifest.media_type == MediaType.DOCKER_MANIFEST
        pairs = list(zip(manifest.layers, diff_ids, strict=True))
        distinct = dict.fromkeys(diff_ids[::-1])  # the topmost first, as Docker lists them
        for diff_id in distinct:
            self._say("Preparing", diff_id)
        for diff_id in list(distinct)[self._at_once :]:
            self._say("Waiting", diff_id)
        by_diff_id = {diff_id: layer for layer, diff_id in pairs}
        with self._workers() as workers:
            futures = {
                diff_id: workers.submit(self._send_layer, by_diff_id[diff_id], diff_id, docker)
                for diff_id in distinct
            }
            return [futures[diff_id].result() for diff_id in diff_ids]

    @contextlib.contextmanager
    def _workers(self) -> Iterator[ThreadPoolExecutor]:
        """Threads that stop when one of them fails, or whoever waits for them is interrupted."""
        workers = ThreadPoolExecutor(self._at_once, "push")
        try:
            yield workers
        except BaseException:
            self._cancellation.cancel()
            raise
        finally:
            workers.shutdown(wait=True, cancel_futures=True)

    def _send_layer(self, layer: Descriptor, diff_id: str, docker: bool) -> Descriptor:
        self._cancellation.check()
        packed = compressed(self._store, layer, diff_id, self._cancellation, docker=docker)
        meter = Meter(self._report, "Pushing", _short(diff_id), packed.size)
        self._say(self._send_blob(packed, meter), diff_id)
        return packed

    def _send_blob(self, blob: Descriptor, meter: Meter) -> str:
        """Send a blob if it is not there; return what became of it, in Docker's words."""
        if self._repository.has_blob(blob.digest):
            return "Layer already exists"
        path = self._store.blobs.path(blob.digest)
        outgoing = Outgoing(blob.digest, self._store.blobs.size(blob.digest), path)
        uploader = Uploader(self._repository, outgoing, meter, self._cancellation)
        others = [
            path
            for path in self._sources.of(blob.digest, self._name.domain)
            if path != self._repository.path
        ]
        mounted = uploader.mount(others[:_MOST_MOUNTS])
        if mounted is not None:
            return f"Mounted from {mounted}"
        uploader.send()
        return "Pushed"

    def _say(self, status: str, diff_id: str) -> None:
        self._report(Step(status, _short(diff_id)))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
