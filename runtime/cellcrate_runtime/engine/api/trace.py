"""``GET /containers/{id}/trace``: what was done to start a container. Docker has no such path."""

from __future__ import annotations

from cellcrate_runtime.engine import traces
from cellcrate_runtime.engine.api.app import Handler, Route

__all__ = ["routes"]


class Trace(Handler):
    """The trace of a container's last start."""

    def get(self, name: str) -> None:
        """Answer with a :class:`~cellcrate_runtime.engine.tracing.document.Trace`."""
        self.finish(traces.read(self.engine.containers.get(name)))


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/containers/(?P<name>[^/]+)/trace", Trace, {})]
