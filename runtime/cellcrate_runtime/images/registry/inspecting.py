"""What a name means in its registry, with nothing of it kept."""

from __future__ import annotations

from dataclasses import dataclass

from cellcrate_runtime.images.documents import (
    INDEX_TYPES,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    decode,
)
from cellcrate_runtime.images.references import Reference, is_digest
from cellcrate_runtime.images.registry.connection import connect
from cellcrate_runtime.images.registry.credentials import Credential
from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.repository import Repository
from cellcrate_runtime.images.registry.resolving import not_there
from cellcrate_runtime.images.registry.transport import Transport

__all__ = ["Inspected", "inspect"]


@dataclass(frozen=True, slots=True)
class Inspected:
    """A manifest or an index: its descriptor, and the platforms that it is for."""

    media_type: str
    digest: str
    size: int
    platforms: tuple[Platform, ...]


def inspect(reference: Reference, transport: Transport, credential: Credential) -> Inspected:
    """Ask a registry, not its mirrors, what a name means.

    Raises:
        NotInRegistryError: There is nothing of that name.
        RegistryError: The registry does not answer, or not to us.
    """
    connection = connect(reference.domain, transport, credential)
    repository = Repository(connection, reference.path)
    try:
        found = repository.manifest(reference.digest or reference.tag or "")
        platforms: list[Platform] = []
        if found.media_type in INDEX_TYPES:
            offered = decode(Index, found.content).manifests
            platforms = [item.platform for item in offered if item.platform is not None]
        else:
            described = decode(Manifest, found.content).config.digest
            if not is_digest(described):
                raise RegistryError(f"the manifest of {reference.familiar} has no good digest")
            config = decode(ImageConfig, repository.small_blob(described))
            platforms = [
                Platform(os=config.os, architecture=config.architecture, variant=config.variant)
            ]
    except RegistryError as error:
        raise not_there(reference, error) from error
    return Inspected(found.media_type, found.digest, len(found.content), tuple(platforms))
