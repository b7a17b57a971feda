"""The engine: the object that all handlers share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from cellcrate_runtime.engine.background import Background
from cellcrate_runtime.engine.building.run_mounts import CacheFolders
from cellcrate_runtime.engine.building.workspace import caches_folder
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.events import EventLog
from cellcrate_runtime.engine.execs import Execs
from cellcrate_runtime.engine.health import HealthChecks
from cellcrate_runtime.engine.identity import Identity
from cellcrate_runtime.engine.idle import Idle
from cellcrate_runtime.engine.launcher_client import Launcher
from cellcrate_runtime.engine.ownership import Owners
from cellcrate_runtime.engine.recovery import recover
from cellcrate_runtime.engine.registry import Registry
from cellcrate_runtime.engine.removing import remove
from cellcrate_runtime.engine.runtimes import Runtimes
from cellcrate_runtime.engine.shim import ready
from cellcrate_runtime.engine.store import Store
from cellcrate_runtime.engine.supervisor import Supervisor
from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.linux.cgroups import tidy
from cellcrate_runtime.linux.cgroups.delegation import prepare
from cellcrate_runtime.paths import Paths

__all__ = ["Engine", "Hooks"]

_PATIENCE = 5.0  # seconds; what is not deleted then, the next engine deletes
_log = logging.getLogger("cellcrate.engine")


class Hooks:
    """Who wants to know when a container starts, ends or is removed (health checks, execs)."""

    def __init__(self) -> None:
        self.started: list[Callable[[Container], None]] = []
        self.ended: list[Callable[[Container], None]] = []
        self.removed: list[Callable[[Container], None]] = []

    def call(self, listeners: Iterable[Callable[[Container], None]], container: Container) -> None:
        """Tell listeners; what goes wrong in one of them is logged and harms nobody else."""
        for listener in listeners:
            try:
                listener(container)
            except Exception:
                _log.exception("a listener failed for container %s", container.name)


class Engine:
    """Owns the containers of one user.

    Attributes:
        paths: Where its state is.
        containers: All containers; ``containers.get(reference)`` finds one.
        images: The content store.
        events: What happened; ``events.publish(...)`` adds to it.
        hooks: Who is told of starts and ends.
        idle: What keeps the engine awake.
        store: The containers on disk.
        launcher: Starts containers.
        supervisor: Follows running containers.
        identity: Decides about user namespaces.
        runtimes: The OCI runtimes that can make containers.
        owners: Watches the processes that containers are tied to.
        execs: Further programs in running containers.
        health: Checks containers that have a health check.
        removals: Deletes the files of removed containers.
        build_mounts: The folders that builds mount as caches.
    """

    def __init__(self, paths: Paths, leave: Callable[[], None], idle_seconds: float = 600) -> None:
        self.paths = paths
        self.containers = Registry()
        self.images = ImageStore(paths.images)
        self.events = EventLog()
        self.hooks = Hooks()
        self.idle = Idle(idle_seconds, self.owns_something_running, leave)
        self.store = Store(paths)
        self.launcher = Launcher(paths.run)
        self.supervisor = Supervisor(self)
        self.identity = Identity(paths.data)
        self.runtimes = Runtimes(paths.data)
        self.owners = Owners(lambda container: remove(self, container, force=True))
        self.execs = Execs(self)
        self.health = HealthChecks(self)
        self.removals = Background()
        self.build_mounts = CacheFolders(caches_folder(paths))

    async def start(self) -> None:
        """Find the containers of earlier engines, and have the launcher warm."""
        prepare()  # before anything is forked, which would then be in the wrong control group
        self.launcher.start()
        self.identity.find_out()  # while the launcher gets ready
        await recover(self)

    async def close(self) -> None:
        """Let go of everything; containers go on."""
        self.idle.stop()
        await self.health.close()
        self.supervisor.close()
        self.owners.close()
        await self.removals.finish(_PATIENCE)
        for container in self.containers:
            if container.shim is not None:
                container.shim.close()
        await self.launcher.close()
        tidy(ready.TOP)

    def owns_something_running(self) -> bool:
        """Whether a container runs, or is about to be restarted."""
        return any(container.state.running for container in self.containers)

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        """Record an event of a container."""
        self.events.publish(
            "container", action, container.id, container.event_attributes(**attributes)
        )
