"""The JSON documents of an image: descriptors, manifests, indexes and the configuration.

Source: OCI image-spec 1.1 (descriptor.md, manifest.md, image-index.md, config.md). Docker's own
manifest (schema 2) has the same shape under other media types. Docker writes ``null`` for empty
members, so every optional member allows it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from cellcrate_runtime.images.errors import InvalidArchiveError

__all__ = [
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "Descriptor",
    "Execution",
    "Healthcheck",
    "History",
    "ImageConfig",
    "Index",
    "Layout",
    "Manifest",
    "MediaType",
    "Platform",
    "RootFS",
    "decode",
    "encode",
]

Document = TypeVar("Document", bound=msgspec.Struct)


class MediaType:
    """What a descriptor says its blob is."""

    INDEX = "application/vnd.oci.image.index.v1+json"
    MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    CONFIG = "application/vnd.oci.image.config.v1+json"
    LAYER = "application/vnd.oci.image.layer.v1.tar"
    LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
    LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
    DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


INDEX_TYPES = frozenset({MediaType.INDEX, MediaType.DOCKER_INDEX})
MANIFEST_TYPES = frozenset({MediaType.MANIFEST, MediaType.DOCKER_MANIFEST})


class _CamelDocument(msgspec.Struct, rename="camel", omit_defaults=True):
    """A JSON object with camelCase member names."""


class Platform(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The kind of machine that an image runs on."""

    architecture: str
    os: str
    os_version: str | None = msgspec.field(default=None, name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str | None = None


class Descriptor(_CamelDocument, kw_only=True):
    """A blob as others point at it: what it is, its digest and its size in bytes."""

    media_type: str
    digest: str
    size: int
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    artifact_type: str | None = None
    platform: Platform | None = None


class Manifest(_CamelDocument, kw_only=True):
    """One image for one platform: its configuration and its layers, bottom first."""

    schema_version: int
    media_type: str | None = None
    artifact_type: str | None = None
    config: Descriptor
    layers: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Index(_CamelDocument, kw_only=True):
    """A list of manifests: one image for several platforms, or what a layout holds."""

    schema_version: int
    media_type: str | None = None
    artifact_type: str | None = None
    manifests: list[Descriptor]
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Layout(_CamelDocument, kw_only=True):
    """The file ``oci-layout``, which marks a folder as one."""

    image_layout_version: str


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """How Docker finds out whether a container is well. Times are in nanoseconds."""

    test: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class Execution(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """The member ``config`` of an image's configuration: how its containers run.

    The members from ``healthcheck`` on are Docker's additions to the specification.
    """

    user: str | None = None
    exposed_ports: dict[str, Any] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    args_escaped: bool | None = None
    healthcheck: Healthcheck | None = None
    on_build: list[str] | None = None
    shell: list[str] | None = None
    stop_timeout: int | None = None


class History(msgspec.Struct, omit_defaults=True, kw_only=True):
    """How one step of an image came about."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool = False


class RootFS(msgspec.Struct, kw_only=True):
    """The digests of an image's layers, uncompressed, bottom first."""

    type: str = "layers"
    diff_ids: list[str] = []


class ImageConfig(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A whole image configuration. The digest of its bytes is the image's id.

    ``docker_version`` is Docker's addition to the specification: what made the image.
    """

    created: str | None = None
    author: str | None = None
    architecture: str
    os: str
    os_version: str | None = msgspec.field(default=None, name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")
    variant: str | None = None
    docker_version: str | None = None
    config: Execution | None = None
    rootfs: RootFS
    history: list[History] | None = None

    @property
    def execution(self) -> Execution:
        """The member ``config``, or an empty one where the image says nothing."""
        return self.config or Execution()


_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {}
# Sorted, so that the same image gets the same digest whatever order its members were set in.
_encoder = msgspec.json.Encoder(order="sorted")


def decode(kind: type[Document], content: bytes) -> Document:
    """Read a document.

    Raises:
        InvalidArchiveError: The content is not JSON, or has a member of the wrong type.
    """
    decoder = _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        document: Document = decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArchiveError(
            f"this is not an image {kind.__name__.lower()}: {error}"
        ) from error
    return document


def encode(document: msgspec.Struct) -> bytes:
    """Write a document; the same document gives the same bytes."""
    return _encoder.encode(document)
