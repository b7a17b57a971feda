"""A new engine finds the containers of the one before it.

What ran is found through its shim; what ended meanwhile left its exit status on disk; what the
shim could not tell, because it was killed or the machine went down, is recorded as lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine.building.errors import BUILD_LABEL
from cellcrate_runtime.engine.building.workspace import remove_leftovers
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import EngineError
from cellcrate_runtime.engine.protocol import ExitRecord
from cellcrate_runtime.engine.removing import delete_folder
from cellcrate_runtime.engine.settling import settle
from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.engine.shim_client import (
    LaunchError,
    ShimConnection,
    ShimGoneError,
    read_exit_file,
)
from cellcrate_runtime.images import ImageError
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["recover"]

_LOST = 255  # the exit status of a container of which nobody knows how it ended
_PATIENCE = 5.0  # seconds for a shim that lives to answer
_log = logging.getLogger("cellcrate.recovery")


async def recover(engine: Engine) -> None:
    """Load all containers and take those up again that run."""
    for folder in engine.store.leftovers():
        try:
            await delete_folder(engine, folder)
        except EngineError as error:
            _log.warning("%s", error.message)
    for container in engine.store.load():
        engine.containers.add(container)
    _keep_images(engine)
    await asyncio.to_thread(remove_leftovers, engine.paths)
    for container in engine.containers:
        if container.state.status is not Status.DEAD:
            await _recover_one(engine, container)


def _keep_images(engine: Engine) -> None:
    """Let go the layers that were kept for containers which are not there, and keep the others'.

    A machine that went down may have lost what was written about them last.
    """
    holds = engine.images.holds
    kept = {use.container_id for use in holds.uses()}
    for container in engine.containers:
        if container.id not in kept:
            with contextlib.suppress(ImageError):  # who starts it will hear of it
                engine.images.hold(container.id, engine.images.get(container.definition.image))
    for container_id in holds.containers() - {container.id for container in engine.containers}:
        engine.images.release(container_id)


async def _recover_one(engine: Engine, container: Container) -> None:
    state = container.state
    shim = await _reconnect(engine, container)
    if shim is not None:
        container.shim = shim
        state.status = Status.PAUSED if _frozen(container) else Status.RUNNING
        state.pid, state.started_at = shim.pid, shim.started_at
        engine.store.save_state(container)
        engine.supervisor.follow(container, shim)
        engine.hooks.call(engine.hooks.started, container)
    elif (record := _ended_meanwhile(container)) is not None:
        engine.supervisor.ended(container, record)
    elif state.status is Status.RESTARTING:
        engine.supervisor.restart_later(container, 0)
    elif state.status is Status.REMOVING or _should_be_removed(container):
        state.status = Status.EXITED
        engine.supervisor.remove_later(container)
    if BUILD_LABEL in container.labels:
        engine.supervisor.remove_later(container)  # its build ended with the engine before this
    engine.owners.watch(container)


async def _reconnect(engine: Engine, container: Container) -> ShimConnection | None:
    """Connect to a container's shim; None when there is none."""
    run_dir = engine.paths.container_run(container.id)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return await ShimConnection.reconnect(run_dir)
        except (ShimGoneError, LaunchError) as error:
            if not run_folder.is_locked(run_dir):
                break
            # It lives: it is about to listen (the last engine died while it started the
            # container), or about to leave.
            if time.monotonic() > deadline:
                _log.error("container %s: its shim does not answer: %s", container.name, error)
                return None
            await asyncio.sleep(0.02)
    if run_dir.exists():
        try:
            await settle(engine, container)
        except EngineError as error:
            _log.warning("%s", error.message)
    return None


def _ended_meanwhile(container: Container) -> ExitRecord | None:
    """Return how a container ended while no engine was there; None when it did not."""
    state = container.state
    try:
        record = read_exit_file(container.exit_file)
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("container %s: its exit status cannot be read: %s", container.name, error)
        record = None
    if record is not None and record.finished_at > state.finished_at:
        state.started_at = record.started_at or state.started_at
        return record
    if not state.alive:
        return None
    return ExitRecord(
        exit_code=_LOST,
        oom_killed=False,
        started_at=state.started_at,
        finished_at=time.time_ns(),
        error="the container's shim was killed, or the machine went down, while no engine ran",
    )


def _should_be_removed(container: Container) -> bool:
    """Whether ``--rm`` was asked for and the engine ended before it could."""
    return container.host_config.auto_remove and container.state.status is Status.EXITED


def _frozen(container: Container) -> bool:
    try:
        return Cgroup.open(container.cgroup_path).frozen
    except (CgroupError, OSError):
        return False
