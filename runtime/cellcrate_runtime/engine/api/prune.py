"""Removal of what is not used: ``docker container prune``."""

from __future__ import annotations

from typing import Any

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.filters import Filters
from cellcrate_runtime.engine.pruning import CONTAINER_FILTERS, prune_containers

__all__ = ["routes"]


class PruneContainers(Handler):
    """``POST /containers/prune``."""

    async def post(self) -> None:
        """Remove the containers that do not run."""
        filters = Filters.parse(self.query("filters"), CONTAINER_FILTERS)
        pruned = await prune_containers(self.engine, filters)
        self.write_json(pruned)


class PruneNothing(Handler):
    """Prunes of what there can be none of yet, so that ``docker system prune`` does the rest."""

    def initialize(self, *, answer: dict[str, Any], **arguments: Any) -> None:  # type: ignore[override]
        """Take what is answered."""
        super().initialize(**arguments)
        self._answer = answer

    def post(self) -> None:
        """Say that nothing was removed."""
        self.write_json(self._answer)


def routes() -> list[Route]:
    """Return the paths of this module."""
    nothing: dict[str, dict[str, Any]] = {
        r"/networks/prune": {"NetworksDeleted": None},
        r"/volumes/prune": {"VolumesDeleted": None, "SpaceReclaimed": 0},
    }
    return [
        (r"/containers/prune", PruneContainers, {}),
        *((path, PruneNothing, {"answer": answer}) for path, answer in nothing.items()),
    ]
