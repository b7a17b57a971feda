"""After the end of a container: its shim leaves, and what a killed shim left is cleared away."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import EngineError
from cellcrate_runtime.engine.shim import leftovers
from cellcrate_runtime.linux.cgroups import CgroupError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["settle"]

_log = logging.getLogger("cellcrate.settling")


async def settle(engine: Engine, container: Container) -> None:
    """Wait until nothing of a container's last run is left; its lock is held, it has ended.

    Raises:
        EngineError: Processes of it cannot be killed.
    """
    if container.shim is not None:
        await container.shim.closed
        container.shim = None
    run_dir = engine.paths.container_run(container.id)
    if not run_dir.exists():
        return  # the shim has removed it, last of all
    try:
        await asyncio.to_thread(leftovers.clear, run_dir, container.cgroup_path)
    except (leftovers.ShimAliveError, CgroupError, OSError) as error:
        raise EngineError(
            f"container {container.name} has ended, but not everything of it: {error}"
        ) from error
    _log.info("container %s: cleared what its killed shim left", container.name)
