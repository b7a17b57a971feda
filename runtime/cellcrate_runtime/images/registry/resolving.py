"""From an image's name to the one manifest that is meant, before anything large moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cellcrate_runtime.images.blobs import BlobStore
from cellcrate_runtime.images.documents import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    MediaType,
    Platform,
    decode,
)
from cellcrate_runtime.images.errors import CorruptContentError, ImageError
from cellcrate_runtime.images.references import Reference, is_digest
from cellcrate_runtime.images.registry.connection import connections
from cellcrate_runtime.images.registry.credentials import Credential
from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    LoginFailedError,
    NotInRegistryError,
    RegistryError,
)
from cellcrate_runtime.images.registry.platforms import choose, fits, own_platform, written
from cellcrate_runtime.images.registry.repository import Fetched, Repository
from cellcrate_runtime.images.registry.transport import Transport

__all__ = ["Resolved", "fetch_config", "not_there", "open_repositories", "resolve"]

_MOST_INDEXES = 4
_MOST_LAYERS = 1000
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYERS = frozenset(
    {
        MediaType.LAYER,
        MediaType.LAYER_GZIP,
        MediaType.LAYER_ZSTD,
        MediaType.DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    }
)
_FOREIGN = ("foreign", "nondistributable")


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image in a registry, whose layers are still there.

    Attributes:
        reference: As it was asked for.
        digest: Of what the name means there: of the manifest, or of the index that lists it.
        fetched: The manifest for the wanted platform, as it came.
        manifest: The same, read.
        platform: What was asked for; None where it was left to this machine.
        sources: Where it can be had: the address that answered, and others that may.
    """

    reference: Reference
    digest: str
    fetched: Fetched
    manifest: Manifest
    platform: Platform | None
    sources: tuple[Repository, ...]


def open_repositories(
    reference: Reference, transport: Transport, credential: Credential
) -> list[Repository]:
    """The places that a repository can be pulled from, best first.

    Raises:
        RegistryUnreachableError: The registry does not answer.
    """
    found: list[Repository] = []
    try:
        for connection in connections(reference.domain, transport, credential, mirrors=True):
            found.append(Repository(connection, reference.path))
    except RegistryError:
        if not found:  # a mirror may do without it
            raise
    return found


def resolve(
    reference: Reference, repositories: Sequence[Repository], platform: Platform | None
) -> Resolved:
    """Find the manifest that a name means for a platform.

    Raises:
        NotInRegistryError: The registry has none of that name, or none for that platform.
        AccessDeniedError: It does not let us see.
        RegistryError: It is nothing that can be run here; the message says why.
    """
    wanted = reference.digest or reference.tag or ""
    if reference.digest is not None and not is_digest(reference.digest):
        raise RegistryError(f"{reference.digest} is no sha256 digest, and no other is known here")
    number, top = _first_that_has(repositories, wanted, reference)
    fetched = _for_platform(repositories[number], top, platform, reference)
    return Resolved(
        reference,
        top.digest,
        fetched,
        _checked(fetched, reference),
        platform,
        tuple(repositories[number:]),
    )


def _first_that_has(
    repositories: Sequence[Repository], wanted: str, reference: Reference
) -> tuple[int, Fetched]:
    """Ask one place after the other; what the last one says counts."""
    for number, repository in enumerate(repositories):
        try:
            return number, repository.manifest(wanted)
        except RegistryError as error:
            if repository is repositories[-1]:
                raise not_there(reference, error) from error
        except ImageError:
            if repository is repositories[-1]:
                raise
    raise AssertionError("there is at least one repository")


def not_there(reference: Reference, error: RegistryError) -> RegistryError:
    """What dockerd says when a registry refuses, which people look for on the web."""
    if isinstance(error, LoginFailedError):
        return error
    if isinstance(error, AccessDeniedError) or error.code in ("UNAUTHORIZED", "DENIED"):
        return NotInRegistryError(
            f"pull access denied for {reference.familiar_name}, repository does not exist or may "
            f"require 'docker login': {error}",
            error.code,
        )
    if error.code == "NAME_UNKNOWN":
        return NotInRegistryError(
            f"repository {reference.familiar_name} not found: {error}", error.code
        )
    if isinstance(error, NotInRegistryError):
        return NotInRegistryError(
            f"manifest for {reference.familiar} not found: {error}", error.code
        )
    return error


def _for_platform(
    repository: Repository, top: Fetched, platform: Platform | None, reference: Reference
) -> Fetched:
    """Follow indexes to a manifest."""
    found = top
    for _ in range(_MOST_INDEXES):
        if found.media_type in MANIFEST_TYPES:
            return found
        offered = [
            descriptor
            for descriptor in decode(Index, found.content).manifests
            if descriptor.media_type in MANIFEST_TYPES | INDEX_TYPES
        ]
        chosen = choose(offered, platform or own_platform(), reference.familiar)
        if not is_digest(chosen.digest):
            raise CorruptContentError(f"the index of {reference.familiar} has a bad digest")
        found = repository.manifest(chosen.digest)
    raise RegistryError(f"{reference.familiar} is an index of indexes, more deep than any image")


def _checked(fetched: Fetched, reference: Reference) -> Manifest:
    """Read a manifest and see that it is an image that can be had as a whole.

    Raises:
        InvalidArchiveError: It cannot be read.
        RegistryError: It is something else, or has parts that the registry does not have.
    """
    manifest = decode(Manifest, fetched.content)
    kind = manifest.config.media_type
    if kind not in (MediaType.CONFIG, _DOCKER_CONFIG):
        raise RegistryError(
            f"{reference.familiar} is no image to run: it holds {manifest.artifact_type or kind}. "
            "Tools such as oras fetch what is not an image."
        )
    if len(manifest.layers) > _MOST_LAYERS:
        raise RegistryError(f"{reference.familiar} has {len(manifest.layers)} layers, too many")
    for part in (manifest.config, *manifest.layers):
        _check_part(part, reference)
    for layer in manifest.layers:
        if layer.media_type not in _LAYERS:
            raise RegistryError(
                f"{reference.familiar} has a layer of type {layer.media_type}, which is not "
                "understood here (tar, tar+gzip and tar+zstd are)."
            )
    return manifest


def _check_part(part: Descriptor, reference: Reference) -> None:
    if part.urls or any(word in part.media_type for word in _FOREIGN):
        raise RegistryError(
            f"{reference.familiar} has a foreign layer ({part.digest}), which its registry may not "
            "pass on and has elsewhere. Such layers, as Windows has, are not fetched."
        )
    if not is_digest(part.digest) or part.size < 0:
        raise CorruptContentError(
            f'the manifest of {reference.familiar} has "{part.digest}" of {part.size} bytes among '
            "its parts, which is no sha256 digest and size."
        )


def fetch_config(resolved: Resolved, kept: BlobStore) -> bytes:
    """Get an image's configuration, and see that it goes with the manifest and the platform.

    Args:
        kept: Where it may be already.

    Raises:
        CorruptContentError: It is another one, or does not go with the manifest.
        NotInRegistryError: It is for another platform than was asked for.
    """
    descriptor = resolved.manifest.config
    if kept.has(descriptor.digest):
        content = kept.read(descriptor.digest)
    else:
        content = _small(resolved.sources, descriptor)
    config = decode(ImageConfig, content)
    if len(config.rootfs.diff_ids) != len(resolved.manifest.layers):
        raise CorruptContentError(
            f"{resolved.reference.familiar} has {len(resolved.manifest.layers)} layers, and its "
            f"configuration names {len(config.rootfs.diff_ids)}."
        )
    for diff_id in config.rootfs.diff_ids:
        if not is_digest(diff_id):
            raise CorruptContentError(f'"{diff_id}", of a configuration, is no sha256 digest')
    made_for = Platform(os=config.os, architecture=config.architecture, variant=config.variant)
    if resolved.platform is not None and not fits(made_for, resolved.platform):
        raise NotInRegistryError(
            f"image with reference {resolved.reference.familiar} was found but does not match the "
            f"specified platform: wanted {written(resolved.platform)}, actual: {written(made_for)}"
        )
    return content


def _small(sources: Sequence[Repository], descriptor: Descriptor) -> bytes:
    for source in sources:
        try:
            return source.small_blob(descriptor.digest)
        except ImageError:
            if source is sources[-1]:
                raise
    raise AssertionError("there is at least one source")
