"""The documents of an image archive that are Docker's own.

``manifest.json`` names, for every image, its configuration, its tags and its layers, as files of
the archive. Source: moby/moby, ``image/tarexport`` and ``image/spec/spec.md`` ("Combined Image
JSON + Filesystem Changeset Format"). Since Docker 25 an archive is an OCI image layout as well.
"""

from __future__ import annotations

import msgspec

__all__ = ["CONTAINERD_NAME", "ArchivedImage"]

# The annotation in which Docker and containerd keep an image's whole name in ``index.json``.
CONTAINERD_NAME = "io.containerd.image.name"


class ArchivedImage(msgspec.Struct, rename="pascal", omit_defaults=True, kw_only=True):
    """One image of ``manifest.json``."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None
