"""An image as ``docker image inspect``, ``docker images`` and ``docker history`` show it."""

from __future__ import annotations

from typing import Any

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.images import HistoryStep, Image, InvalidReferenceError
from cellcrate_runtime.images.references import parse

__all__ = ["history_document", "inspect_document", "repository_tag", "summary_document"]


def inspect_document(image: Image) -> dict[str, Any]:
    """Return what ``GET /images/{name}/json`` answers."""
    config = image.config
    return {
        "Id": image.id,
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Parent": "",
        "Comment": _last_comment(image),
        "Created": image.created or None,
        "DockerVersion": "",
        "Author": config.author or "",
        "Config": {
            "Cmd": None,
            "Entrypoint": None,
            "Env": [],
            "Labels": None,
            **msgspec.to_builtins(config.execution),
        },
        "Architecture": config.architecture,
        "Variant": config.variant or "",
        "Os": config.os,
        "Size": image.size,
        "GraphDriver": {"Name": "overlayfs", "Data": {}},
        "RootFS": {"Type": "layers", "Layers": image.diff_ids},
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
    }


def summary_document(image: Image, containers: int, shared: int) -> dict[str, Any]:
    """Return one line of what ``GET /images/json`` answers."""
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Created": int(image.created_at),
        "Size": image.size,
        "SharedSize": shared,
        "VirtualSize": image.size,
        "Labels": image.config.execution.labels or {},
        "Containers": containers,
    }


def history_document(steps: list[HistoryStep]) -> list[dict[str, Any]]:
    """Return what ``GET /images/{name}/history`` answers."""
    return [
        {
            "Id": step.image_id,
            "Created": _seconds(step.step.created),
            "CreatedBy": step.step.created_by or "",
            "Tags": step.tags or None,
            "Size": step.size,
            "Comment": step.step.comment or "",
        }
        for step in steps
    ]


def repository_tag(repository: str, tag: str) -> str:
    """Return a name from the two parameters in which the API has it.

    Raises:
        InvalidReferenceError: They are no name.
    """
    name = parse(repository)
    if not tag:
        return repository
    if name.tag or name.digest:
        raise InvalidReferenceError(f'"{repository}" has a tag already; leave out tag={tag}')
    separator = "@" if tag.startswith("sha256:") else ":"
    return f"{repository}{separator}{tag}"


def _seconds(created: str | None) -> int:
    return timestamps.parse_rfc3339(created) // timestamps.SECOND if created else 0


def _last_comment(image: Image) -> str:
    history = image.config.history or []
    return history[-1].comment or "" if history else ""
