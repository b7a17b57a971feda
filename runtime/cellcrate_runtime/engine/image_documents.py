"""An image as ``docker image inspect``, ``docker images`` and ``docker history`` show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.images import Execution, HistoryStep, Image, InvalidReferenceError
from cellcrate_runtime.images.references import Reference, parse

# When members went away: moby, docs/api/version-history.md.
API_VERSION = (1, 47)
_WITHOUT_NONE = (1, 43)
_WITHOUT_VIRTUAL_SIZE = (1, 44)
_WITHOUT_CONTAINER = (1, 45)

__all__ = [
    "history_document",
    "inspect_document",
    "named",
    "repository_tag",
    "summary_document",
]


def inspect_document(
    image: Image, layers: Sequence[Path], version: tuple[int, int] = API_VERSION
) -> dict[str, Any]:
    """Return what ``GET /images/{name}/json`` answers.

    Args:
        image: The image.
        layers: The folders of its layers, topmost first.
        version: Of the API: older ones had more members.
    """
    config = image.config
    document = {
        "Id": image.id,
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Parent": image.parent,
        "Comment": _last_comment(image),
        "Created": image.created or None,
        "DockerVersion": config.docker_version or "",
        "Author": config.author or "",
        "Config": _config_document(config.execution),
        "Architecture": config.architecture,
        **({"Variant": config.variant} if config.variant else {}),
        "Os": config.os,
        **({"OsVersion": config.os_version} if config.os_version else {}),
        "Size": image.size,
        "GraphDriver": {"Name": "overlayfs", "Data": _layers_document(layers)},
        "RootFS": {"Type": "layers", **({"Layers": image.diff_ids} if image.diff_ids else {})},
        "Metadata": {"LastTagTime": _moment(image.tagged)},
    }
    if version < _WITHOUT_VIRTUAL_SIZE:
        document["VirtualSize"] = image.size
    if version < _WITHOUT_CONTAINER:
        document |= {"Container": "", "ContainerConfig": _config_document(Execution())}
    return document


def summary_document(
    image: Image,
    *,
    containers: int = -1,
    shared: int = -1,
    names: Sequence[Reference] | None = None,
    version: tuple[int, int] = API_VERSION,
) -> dict[str, Any]:
    """Return one line of what ``GET /images/json`` answers.

    Args:
        image: The image.
        containers: How many were made from it; -1 where that was not asked for.
        shared: The bytes that it shares with others; -1 where that was not asked for.
        names: Those of its names that were asked for; None for all.
        version: Of the API: older ones had more members.
    """
    known = image.references if names is None else names
    tags = [name.familiar for name in known if name.digest is None]
    digests = [name.familiar for name in known if name.digest is not None]
    if version < _WITHOUT_NONE and not known:
        tags, digests = ["<none>:<none>"], ["<none>@<none>"]
    document = {
        "Id": image.id,
        "ParentId": image.parent,
        "RepoTags": tags,
        "RepoDigests": digests,
        "Created": int(image.created_at),
        "Size": image.size,
        "SharedSize": shared,
        "Labels": image.config.execution.labels,
        "Containers": containers,
    }
    if version < _WITHOUT_VIRTUAL_SIZE:
        document["VirtualSize"] = image.size
    return document


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


def named(repository: str, tag: str) -> Reference | None:
    """Return the name for a new image, None where none is wanted.

    Raises:
        InvalidReferenceError: The parameters are no name, or name an image by its digest.
    """
    if not repository:
        return None
    name = parse(repository_tag(repository, tag)).with_default_tag()
    if name.digest is not None:
        raise InvalidReferenceError(
            f'"{name}" names an image by its digest, which cannot be chosen. Choose a tag: name:tag'
        )
    return name


def _config_document(execution: Execution) -> dict[str, Any]:
    """A configuration with the members that Docker's has always, and those that are set."""
    given = {k: v for k, v in msgspec.to_builtins(execution).items() if v not in (None, [], {}, "")}
    return {
        "Hostname": "",
        "Domainname": "",
        "User": "",
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": None,
        "Cmd": None,
        "Image": "",
        "Volumes": None,
        "WorkingDir": "",
        "Entrypoint": None,
        "OnBuild": None,
        "Labels": None,
        **given,
    }


def _layers_document(layers: Sequence[Path]) -> dict[str, str]:
    if not layers:
        return {}
    document = {"UpperDir": str(layers[0])}
    if len(layers) > 1:
        document["LowerDir"] = ":".join(map(str, layers[1:]))
    return document


def _moment(nanoseconds: int) -> str:
    return timestamps.format_rfc3339(nanoseconds) if nanoseconds else "0001-01-01T00:00:00Z"


def _seconds(created: str | None) -> int:
    return timestamps.parse_rfc3339(created) // timestamps.SECOND if created else 0


def _last_comment(image: Image) -> str:
    history = image.config.history or []
    return history[-1].comment or "" if history else ""
