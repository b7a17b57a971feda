"""What the Docker Engine API has and this engine does not serve yet: 501, by name."""

from __future__ import annotations

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.errors import NotServedError

__all__ = ["routes"]

# Path (a regular expression), and what it is called in the answer.
_UNSERVED = (
    (r"/networks(?:/.*)?", "the network API (docker network)"),
    (r"/volumes(?:/.*)?", "the volume API (docker volume)"),
    (r"/build/cancel", "cancelling a build of BuildKit"),
    (r"/session", "the session of BuildKit (docker buildx)"),
    (r"/grpc", "the API of BuildKit (docker buildx)"),
    (r"/plugins(?:/.*)?", "plugins (docker plugin)"),
    (r"/(?:swarm|nodes|services|tasks|secrets|configs)(?:/.*)?", "swarm mode"),
    (r"/containers/[^/]+/checkpoints(?:/.*)?", "checkpoints (docker checkpoint)"),
    (r"/containers/[^/]+/attach/ws", "attaching through a WebSocket"),
    (r"/images/search", "searching a registry (docker search)"),
)


class Unserved(Handler):
    """Says what is missing."""

    def initialize(self, *, what: str, **arguments: object) -> None:  # type: ignore[override]
        """Take the name of what is missing."""
        super().initialize(**arguments)  # type: ignore[arg-type]
        self._what = what

    def prepare(self) -> None:
        """Refuse every method."""
        super().prepare()
        raise NotServedError(self._what)


def routes() -> list[Route]:
    """Return the paths that are known and not served."""
    return [(pattern, Unserved, {"what": what}) for pattern, what in _UNSERVED]
