"""An image comes from a registry: its layers at the same time, each unpacked when it is verified.

The order in which things happen keeps a promise: an image has a name only when all of it is there
and every byte was checked, the packed layers by the manifest and what is in them by the
configuration.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from cellcrate_runtime.images.documents import Descriptor, ImageConfig, Platform, decode
from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.downloads import Downloads, Wanted
from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.progress import (
    Cancellation,
    Meter,
    Report,
    Step,
    silent,
)
from cellcrate_runtime.images.registry.resolving import (
    Resolved,
    fetch_config,
    not_there,
    open_repositories,
    resolve,
)
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.sources import Sources
from cellcrate_runtime.images.registry.transport import Transport
from cellcrate_runtime.images.store import ImageStore

__all__ = ["Pulled", "Puller", "pull"]

_SHORT = 12  # digits of a digest, as docker shows a layer


def pull(
    store: ImageStore,
    reference: Reference,
    settings: RegistrySettings,
    credential: Credential = ANONYMOUS,
    *,
    platform: Platform | None = None,
    report: Report = silent,
    cancellation: Cancellation | None = None,
) -> Image:
    """Pull one image.

    Args:
        reference: With a tag or a digest.
        platform: Which of an image's variants; by default the one for this machine.

    Raises:
        RegistryError: The registry does not have it or does not give it; NotInRegistryError,
            AccessDeniedError and others say why.
        CorruptContentError: Something is not what its digest says. Nothing of it is kept.
        StoreFullError: There is no room for it.
    """
    with Puller(store, settings, credential, cancellation) as puller:
        pulled = puller.fetch(puller.resolve(reference, platform), report)
        report(pulled.status(reference.with_default_tag()))
        return pulled.image


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that is here now.

    Attributes:
        new: The name meant another image before, or none.
    """

    image: Image
    new: bool

    def status(self, name: Reference) -> Step:
        """What ``docker pull`` says last."""
        news = "Downloaded newer image" if self.new else "Image is up to date"
        return Step(f"Status: {news} for {name.familiar}")


class Puller:
    """Pulls from registries, in two steps: what is it, and get it. Use it as a context."""

    def __init__(
        self,
        store: ImageStore,
        settings: RegistrySettings,
        credential: Credential = ANONYMOUS,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._credential = credential
        self._cancellation = cancellation or Cancellation()
        self._transport = Transport(settings, self._cancellation)
        self._downloads = Downloads(store.root, store.blobs)
        self._sources = Sources(store.root, store.blobs)

    def __enter__(self) -> Puller:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def resolve(self, reference: Reference, platform: Platform | None = None) -> Resolved:
        """Find out what a name means; nothing is kept yet.

        Raises:
            As :func:`pull`.
        """
        reference = reference.with_default_tag()
        repositories = open_repositories(reference, self._transport, self._credential)
        return resolve(reference, repositories, platform)

    def tags(self, reference: Reference) -> list[str]:
        """All tags of a repository.

        Raises:
            As :func:`pull`.
        """
        repositories = open_repositories(reference, self._transport, self._credential)
        try:
            # The registry itself knows best what it has; mirrors have some of it.
            return list(repositories[-1].tags())
        except RegistryError as error:
            raise not_there(reference, error) from error

    def fetch(self, resolved: Resolved, report: Report = silent) -> Pulled:
        """Get what was found, and give it its names.

        Raises:
            As :func:`pull`.
        """
        name = resolved.reference
        report(Step(f"Pulling from {name.path}", id=name.tag or name.digest or ""))
        before = self._image_of(name)
        with self._store.adding():
            if not self._has_all(resolved):
                self._fetch_parts(resolved, report)
            self._give_names(resolved)
        blobs = self._store.blobs_of(resolved.fetched.digest)
        self._downloads.forget(blobs)
        self._downloads.remove_old()
        self._sources.add(blobs, name)
        image = self._store.get(self._store.image_id(resolved.fetched.digest))
        report(Step(f"Digest: {resolved.digest}"))
        return Pulled(image, before is None or before.id != image.id)

    def _fetch_parts(self, resolved: Resolved, report: Report) -> None:
        config = fetch_config(resolved, self._store.blobs)
        diff_ids = decode(ImageConfig, config).rootfs.diff_ids
        pairs = zip(resolved.manifest.layers, diff_ids, strict=True)
        # The same layer may be there twice; an empty one often is.
        layers = {(pair[0].digest, pair[1]): _Layer(*pair) for pair in pairs}
        _Layers(self._store, self._downloads, resolved, report, self._cancellation).fetch(
            list(layers.values()), self._settings.downloads
        )
        self._store.blobs.add(config)
        self._store.blobs.add(resolved.fetched.content)

    def _give_names(self, resolved: Resolved) -> None:
        name, digest = resolved.reference, resolved.fetched.digest
        self._cancellation.check()
        if name.digest is None:
            self._store.name(digest, name)
        self._store.name(digest, replace(name, tag=None, digest=resolved.digest))

    def _image_of(self, name: Reference) -> Image | None:
        wanted = replace(name, tag=None) if name.digest else name
        try:
            image = self._store.get(wanted.canonical)
        except ImageNotFoundError:
            return None
        return image if wanted in image.references else None

    def _has_all(self, resolved: Resolved) -> bool:
        """Whether an image is in the store already, whole, whatever it is called there."""
        digest = resolved.fetched.digest
        if all(row.digest != digest for row in self._store.table.rows()):
            return False
        blobs = self._store.blobs_of(digest)
        image = self._store.get(self._store.image_id(digest))
        return all(map(self._store.blobs.has, blobs)) and all(
            map(self._store.layers.has, image.diff_ids)
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer: the blob that it comes as, and the digest of the archive in it."""

    descriptor: Descriptor
    diff_id: str

    @property
    def digest(self) -> str:
        return self.descriptor.digest

    @property
    def size(self) -> int:
        return self.descriptor.size


class _Layers:
    """The layers of one image, on their way."""

    def __init__(
        self,
        store: ImageStore,
        downloads: Downloads,
        resolved: Resolved,
        report: Report,
        cancellation: Cancellation,
    ) -> None:
        self._store = store
        self._downloads = downloads
        self._sources = resolved.sources
        self._report = report
        self._cancellation = cancellation

    def fetch(self, layers: Sequence[_Layer], at_once: int) -> None:
        """Download and unpack layers; return when all are there.

        Layers are unpacked by one thread, because that is what processor and disk are busy with
        while the others wait for the network.

        Raises:
            The first failure, after which the others stop.
        """
        missing = []
        for layer in layers:
            if self._has(layer):
                self._say("Already exists", layer)
            else:
                self._say("Pulling fs layer", layer)
                missing.append(layer)
        for layer in missing[at_once:]:
            self._say("Waiting", layer)
        with self._workers(at_once) as (loading, unpacking):
            loads = {loading.submit(self._load, layer): layer for layer in missing}
            pending: set[Future[None]] = set(loads)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    if future in loads:
                        pending.add(unpacking.submit(self._unpack, loads[future]))

    @contextlib.contextmanager
    def _workers(self, at_once: int) -> Iterator[tuple[ThreadPoolExecutor, ThreadPoolExecutor]]:
        """Threads that stop when one of them fails, or whoever waits for them is interrupted."""
        loading = ThreadPoolExecutor(at_once, "pull")
        unpacking = ThreadPoolExecutor(1, "unpack")
        try:
            yield loading, unpacking
        except BaseException:
            self._cancellation.cancel()
            raise
        finally:
            for workers in (loading, unpacking):
                workers.shutdown(wait=True, cancel_futures=True)

    def _has(self, layer: _Layer) -> bool:
        # A layer that was unpacked from another blob, compressed in another way, does not do:
        # who saves or pushes the image needs this one.
        return self._store.layers.has(layer.diff_id) and self._store.blobs.has(layer.digest)

    def _load(self, layer: _Layer) -> None:
        meter = Meter(self._report, "Downloading", _short(layer.digest), layer.size)
        wanted = Wanted(layer.digest, layer.size)
        if not self._store.blobs.has(layer.digest):
            self._downloads.fetch(self._sources, wanted, meter, self._cancellation)
        self._say("Verifying Checksum", layer)
        self._say("Download complete", layer)

    def _unpack(self, layer: _Layer) -> None:
        self._cancellation.check()
        self._say("Extracting", layer)
        self._store.ensure_layer(layer.descriptor, layer.diff_id)
        self._say("Pull complete", layer)

    def _say(self, status: str, layer: _Layer) -> None:
        self._report(Step(status, _short(layer.digest)))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHORT]
