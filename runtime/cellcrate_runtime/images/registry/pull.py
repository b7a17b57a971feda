"""An image comes from a registry: its layers at the same time, each unpacked when it is verified.

The order in which things happen keeps a promise: an image has a name only when all of it is there
and every byte was checked, the packed layers by the manifest and what is in them by the
configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cellcrate_runtime.images.documents import ImageConfig, Platform, decode
from cellcrate_runtime.images.errors import ImageNotFoundError
from cellcrate_runtime.images.image import Image
from cellcrate_runtime.images.references import Reference
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.downloads import Downloads
from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.progress import (
    Cancellation,
    Report,
    Step,
    silent,
)
from cellcrate_runtime.images.registry.pulled_layers import Layer, Layers
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
        layers = {(pair[0].digest, pair[1]): Layer(*pair) for pair in pairs}
        Layers(self._store, self._downloads, resolved, report, self._cancellation).fetch(
            list(layers.values()), self._settings.downloads
        )
        self._store.blobs.add(config)
        self._store.blobs.add(resolved.fetched.content)

    def _give_names(self, resolved: Resolved) -> None:
        name, digest = resolved.reference, resolved.fetched.digest
        self._cancellation.check()
        self._store.blobs.flush(self._store.blobs_of(digest))
        names = [replace(name, tag=None, digest=resolved.digest)]
        if name.digest is None:
            names.insert(0, name)
        known = {(row.digest, row.reference) for row in self._store.table.rows()}
        for one in names:
            if (digest, one.canonical) not in known:  # a name that stays was not given anew
                self._store.name(digest, one)

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
