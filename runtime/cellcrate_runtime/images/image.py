"""An image as the store knows it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cellcrate_runtime.images.documents import History, ImageConfig, Manifest
from cellcrate_runtime.images.references import Reference

__all__ = ["BASE_REFERENCE", "DiskUsage", "HistoryStep", "Image", "ImageUse", "Removal"]

# Packed from this machine on first use; see cellcrate_runtime.images.packer.base.
BASE_REFERENCE = "cellcrate/base:latest"
SHORT_ID = 12


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its names, its configuration, and where its parts are.

    Attributes:
        id: The digest of the configuration, ``sha256:…``; what Docker calls the image's id.
        references: Every name that it has in the store.
        size: The bytes of the files in its layers, unpacked.
        manifest_digest: The digest of its manifest, by which registries know it.
        parent: The id of the image that it was made from on this machine; empty if it was not.
        tagged: When it was last given a name, in nanoseconds since 1970; 0 for never.
    """

    id: str
    references: tuple[Reference, ...]
    config: ImageConfig
    manifest: Manifest
    manifest_digest: str
    size: int
    parent: str = ""
    tagged: int = 0

    @property
    def short_id(self) -> str:
        """The first twelve digits of the id, as lists show it."""
        return self.id.removeprefix("sha256:")[:SHORT_ID]

    @property
    def repo_tags(self) -> list[str]:
        """Its tagged names, familiar: ``python:3.12``."""
        return [ref.familiar for ref in self.references if ref.digest is None]

    @property
    def repo_digests(self) -> list[str]:
        """Its names by digest, familiar: ``python@sha256:…``."""
        return [ref.familiar for ref in self.references if ref.digest is not None]

    @property
    def diff_ids(self) -> list[str]:
        """The digests of its layers, uncompressed, bottom first."""
        return self.config.rootfs.diff_ids

    @property
    def created(self) -> str:
        """When it was made, as RFC 3339 text; the empty string where it does not say."""
        return self.config.created or ""

    @property
    def created_at(self) -> float:
        """When it was made, in seconds since 1970; 0 where it does not say."""
        return _seconds(self.created)


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One line of ``docker history``: a step, and the bytes that it added."""

    step: History
    size: int
    image_id: str = "<missing>"
    tags: list[str] = field(default_factory=list)

    @property
    def created_at(self) -> float:
        """When it was done, in seconds since 1970; 0 where it does not say."""
        return _seconds(self.step.created or "")


@dataclass(frozen=True, slots=True)
class ImageUse:
    """A container that was made from an image."""

    container_id: str
    image_id: str
    running: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing that a removal did: a name taken away, or an image or layer deleted."""

    untagged: str | None = None
    deleted: str | None = None


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """What images take on disk, in bytes.

    Attributes:
        layers_size: All unpacked layers, each counted once, and their copies for other owners.
        blobs_size: All blobs: manifests, configurations and packed layers.
        shared_sizes: For every image id, the bytes of its layers that other images have too.
    """

    layers_size: int
    blobs_size: int
    shared_sizes: dict[str, int]


def _seconds(created: str) -> float:
    try:
        return datetime.datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0
