"""``GET /containers/{id}/top``."""

from __future__ import annotations

from cellcrate_runtime.engine import processes, top
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.errors import ConflictError, ContainerNotRunningError

__all__ = ["routes"]


class Top(Handler):
    """The processes of a container."""

    async def get(self, name: str) -> None:
        """List them in the columns that ``ps_args`` asks for."""
        container = self.engine.containers.get(name)
        if not container.state.alive:
            if container.state.running:
                raise ConflictError(
                    f"Container {container.id} is restarting, wait until the container is running"
                )
            raise ContainerNotRunningError(container.id)
        pids = processes.of_container(container.state.pid, container.cgroup_path)
        self.write_json(await top.list_processes(pids, self.query("ps_args")))


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [(r"/containers/(?P<name>[^/]+)/top", Top, {})]
