"""Which containers ``docker ps`` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.words import words
from cellcrate_runtime.images import ImageError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["ACCEPTED_FILTERS", "select"]

ACCEPTED_FILTERS = frozenset(
    words(
        """
        ancestor before exited expose health id is-task isolation label name network publish since
        status volume
        """
    )
)
_HEALTH = ("none", "starting", "healthy", "unhealthy")


def select(
    engine: Engine, filters: Filters, *, everything: bool = False, limit: int = 0
) -> list[Container]:
    """Return the containers to list, newest first.

    Args:
        engine: Whose containers.
        filters: What they are narrowed to.
        everything: Also those that do not run; a limit, or a filter by status, implies it.
        limit: At most so many; 0 is all.

    Raises:
        InvalidFilterError: A filter's value makes no sense.
        EngineError: ``before`` or ``since`` names no container.
    """
    statuses = filters.choices("status", [status.value for status in Status])
    filters.choices("health", _HEALTH)
    exited = _exit_codes(filters)
    newest_first = sorted(engine.containers, key=lambda c: c.definition.created, reverse=True)
    newest_first = _between(engine, filters, newest_first)
    images = _ancestors(engine, filters)
    shown = [
        container
        for container in newest_first
        if (everything or limit > 0 or statuses or container.state.running)
        and filters.exact("status", container.state.status.value)
        and filters.prefix("id", container.id)
        and filters.pattern("name", container.name, f"/{container.name}")
        and filters.labels(container.labels)
        and (images is None or container.definition.image in images)
        and (exited is None or _exited_with(container, exited))
        and filters.exact("health", _health(engine, container))
        and filters.exact("network", _network(container))
        and filters.exact("volume", *_volumes(container))
        and filters.exact("expose", *_exposed(container))
        and "publish" not in filters
        and not filters.flag("is-task")
    ]
    return shown[:limit] if limit > 0 else shown


def _exit_codes(filters: Filters) -> set[int] | None:
    if "exited" not in filters:
        return None
    try:
        return {int(value) for value in filters.values("exited")}
    except ValueError as error:
        raise BadRequestError(f"invalid filter 'exited': {error}") from None


def _exited_with(container: Container, codes: set[int]) -> bool:
    state = container.state
    return state.started_at > 0 and not state.running and state.exit_code in codes


def _between(engine: Engine, filters: Filters, newest_first: list[Container]) -> list[Container]:
    for reference in filters.values("before"):
        limit = engine.containers.get(reference).definition.created
        newest_first = [c for c in newest_first if c.definition.created < limit]
    for reference in filters.values("since"):
        limit = engine.containers.get(reference).definition.created
        newest_first = [c for c in newest_first if c.definition.created > limit]
    return newest_first


def _ancestors(engine: Engine, filters: Filters) -> set[str] | None:
    """Return the ids of images of which one is or begins a container's image."""
    if "ancestor" not in filters:
        return None
    found = set()
    images = engine.images.images()
    for reference in filters.values("ancestor"):
        try:
            ancestor = engine.images.get(reference)
        except ImageError:
            continue
        layers = ancestor.diff_ids
        found |= {image.id for image in images if image.diff_ids[: len(layers)] == layers}
        found.add(ancestor.id)
    return found


def _health(engine: Engine, container: Container) -> str:
    health = engine.health.of(container)
    return health.status if health is not None else "none"


def _network(container: Container) -> str:
    mode = container.host_config.network_mode
    return "bridge" if mode in ("", "default") else mode


def _volumes(container: Container) -> list[str]:
    found = []
    for mount in container.definition.mounts:
        found += [mount.destination, mount.source]
    return found


def _exposed(container: Container) -> list[str]:
    ports = list(container.config.exposed_ports)
    return ports + [port.partition("/")[0] for port in ports]
