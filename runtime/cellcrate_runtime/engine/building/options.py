"""What a client asks of a build beside its Dockerfile and context."""

from __future__ import annotations

from dataclasses import dataclass, field

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.images.registry.credentials import Credential

__all__ = ["BuildOptions"]


@dataclass(slots=True, kw_only=True)
class BuildOptions:
    """The parameters of ``POST /build``.

    Not among them are ``rm`` and ``forcerm``: the containers of steps are always removed, since no
    image of ours is made from what is left of them.

    Attributes:
        dockerfile: The Dockerfile's path in the context.
        tags: The names of the image, canonical.
        arguments: ``--build-arg``; None for what has no value.
        labels: ``--label``.
        target: The stage that is built; empty for the last.
        platform: The machine that it is built for; empty for this one.
        no_cache: Do every step, whatever an earlier build made.
        cache_from: Images whose steps count as done.
        pull: Ask registries for newer base images.
        quiet: Say nothing but the image's id.
        secrets: What ``RUN --mount=type=secret`` finds, by id.
        host: The limits and hosts of the containers of RUN.
        credentials: Who the client is to registries, by their domains; never logged.
    """

    dockerfile: str = "Dockerfile"
    tags: list[str] = field(default_factory=list)
    arguments: dict[str, str | None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = ""
    no_cache: bool = False
    cache_from: list[str] = field(default_factory=list)
    pull: bool = False
    quiet: bool = False
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    host: HostConfig = field(default_factory=HostConfig)
    credentials: dict[str, Credential] = field(default_factory=dict, repr=False)
