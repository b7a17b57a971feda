"""``DELETE /containers/{id}``: nothing of a container stays."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import attaching
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import ConflictError, EngineError
from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.engine.settling import settle
from cellcrate_runtime.engine.stopping import end_now

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["delete_folder", "remove"]

_log = logging.getLogger("cellcrate.removing")


async def remove(engine: Engine, container: Container, *, force: bool = False) -> None:
    """Remove a container with its writable layer and its log.

    When this returns, nobody finds the container any more and its name is free; its files follow
    in a moment. If they cannot be deleted, it is shown again, as dead.

    Raises:
        ConflictError: It runs and ``force`` is not set, or it is being removed already.
        EngineError: It runs and does not end.
    """
    state = container.state
    if state.status is Status.REMOVING:
        raise ConflictError(f"removal of container {container.name} is already in progress")
    if state.running and not force:
        if state.status is Status.PAUSED:
            raise ConflictError(
                f'cannot remove container "/{container.name}": container is paused and must be '
                "unpaused first"
            )
        raise ConflictError(
            f'cannot remove container "/{container.name}": container is {state.status.value}: stop '
            "the container before removing or force remove"
        )
    if state.running:
        await end_now(engine, container)
    async with container.lock:
        if container.gone:
            return
        state.status = Status.REMOVING
        await _remove(engine, container)


async def _remove(engine: Engine, container: Container) -> None:
    attaching.close_all(attaching.take_waiting(container))
    engine.owners.forget(container)
    engine.store.save_state(container)  # an engine that follows a killed one goes on with it
    engine.images.release(container.id)
    engine.containers.remove(container)
    container.gone = True
    engine.publish(container, "destroy")
    engine.hooks.call(engine.hooks.removed, container)
    container.announce_removal()
    engine.removals.spawn(_delete_files(engine, container))


async def _delete_files(engine: Engine, container: Container) -> None:
    """Do what nobody has to wait for: the shim takes its mounts down, and files are deleted."""
    async with container.lock:
        try:
            await settle(engine, container)
            await delete_folder(engine, engine.store.mark_removing(container))
        except (EngineError, OSError) as error:
            _come_back(engine, container, str(error))


def _come_back(engine: Engine, container: Container, reason: str) -> None:
    """Show a container as dead whose files cannot be deleted, so that it can be tried again."""
    _log.error("container %s: %s", container.name, reason)
    if engine.containers.has_name(container.name):
        container.definition.name = f"{container.id[:12]}_{container.name}"
    container.state.status = Status.DEAD
    container.state.error = reason
    container.gone = False
    engine.containers.add(container)


async def delete_folder(engine: Engine, folder: Path) -> None:
    """Delete a container's folder.

    Raises:
        EngineError: Something in it could not be deleted.
    """
    try:
        await asyncio.to_thread(shutil.rmtree, folder)
    except PermissionError:
        # Files of the container's other users: only the launcher's namespace is root over them.
        try:
            await engine.launcher.remove_trees(folder)
        except WorkError as error:
            raise EngineError(f"unable to remove filesystem: {error.message}") from error
    except OSError as error:
        raise EngineError(f"unable to remove filesystem: {error}") from error
