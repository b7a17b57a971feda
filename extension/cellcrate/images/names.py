"""Names of images."""

from __future__ import annotations

__all__ = ["ROOT_OF_HUB", "registry_of", "split_reference"]

#: What docker calls Docker Hub in its configuration (docker/cli, registry.IndexServer).
ROOT_OF_HUB = "https://index.docker.io/v1/"


def split_reference(image: str) -> tuple[str, str | None]:
    """Split ``registry:5000/name:tag`` into name and tag; a digest (@sha256:…) is such a tag."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    head, slash, last = image.rpartition("/")
    last, colon, tag = last.partition(":")
    return head + slash + last, tag if colon else "latest"


def registry_of(image: str) -> str:
    """Return the registry that an image's name begins with; "" for Docker Hub's.

    The first part is a registry if it could be a host's name and no user's (distribution/reference,
    "splitDockerDomain").
    """
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    return first if is_host and first != "docker.io" else ""
