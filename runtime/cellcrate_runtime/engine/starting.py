"""``POST /containers/{id}/start``: from a definition on disk to a running program."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import attaching, protocol, traces
from cellcrate_runtime.engine.bundles import rootfs, write_bundle
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import (
    BadRequestError,
    ConflictError,
    EngineError,
    NotModifiedError,
)
from cellcrate_runtime.engine.log_options import log_file
from cellcrate_runtime.engine.runtimes import EMBEDDED
from cellcrate_runtime.engine.settling import settle
from cellcrate_runtime.engine.shim_client import LaunchError
from cellcrate_runtime.images import ImageError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["CannotStartError", "launch", "start"]

# What `docker run` makes of an error: 127 and 126 as in a shell, 128 for the rest.
_EXIT_CODES = {"not_found": 127, "not_executable": 126, "permission": 126}


class CannotStartError(BadRequestError):
    """The program, or something that it needs, is not there."""


async def start(engine: Engine, container: Container) -> None:
    """Start a container, and attach the clients that wait for it.

    Raises:
        NotModifiedError: It runs already.
        ConflictError: It is paused, or being removed.
        EngineError: It could not be started; nothing of the attempt is left.
    """
    async with container.lock:
        status = container.state.status
        if status is Status.PAUSED:
            raise ConflictError("cannot start a paused container, try unpause instead")
        if container.state.running:
            raise NotModifiedError("container is already running")
        if status in (Status.REMOVING, Status.DEAD):
            raise ConflictError("container is marked for removal and cannot be started")
        container.state.restart_count = 0
        container.state.stopped_by_user = False
        await launch(engine, container)


async def launch(engine: Engine, container: Container) -> None:
    """Start a container whose lock is held, whatever its policy says.

    Raises:
        EngineError: It could not be started.
    """
    clients = attaching.take_waiting(container)
    try:
        await _launch(engine, container, clients)
    except (LaunchError, ImageError, OSError) as error:
        failure = _failure(container, error)
        _record_failure(engine, container, failure, _exit_code(error))
        raise failure from error
    except EngineError as error:
        _record_failure(engine, container, error, 128)
        raise
    finally:
        attaching.close_all(clients)


async def _launch(engine: Engine, container: Container, clients: list[attaching.Waiting]) -> None:
    if container.on_disk is not None:
        await asyncio.shield(container.on_disk)
    await settle(engine, container)  # the last run's overlay and run folder must be free
    root = await rootfs(engine, container)
    write_bundle(engine, container, root)
    if trace_file := traces.file_for(container):
        trace_file.unlink(missing_ok=True)
    request = protocol.Launch(
        container_id=container.id,
        bundle=str(container.folder),
        rootfs=root,
        log=log_file(container.host_config.log_config, str(container.log_path)),
        exit_file=str(container.exit_file),
        run_dir=str(engine.paths.container_run(container.id)),
        tty=container.config.tty,
        open_stdin=container.config.open_stdin,
        stdin_once=container.config.stdin_once,
        runtime=engine.runtimes.command(container.host_config.runtime or EMBEDDED),
        trace_file=str(trace_file or ""),
        init=bool(container.host_config.init),
        user=container.config.user,
        groups=container.host_config.group_add,
        clients=[client.attachment for client in clients],
    )
    container.exit_file.unlink(missing_ok=True)
    shim = await engine.launcher.launch(request, [client.connection for client in clients])
    container.shim = shim
    container.mark_running(shim.pid, shim.started_at)
    engine.supervisor.follow(container, shim)
    engine.store.save_state(container)
    engine.publish(container, "start")
    engine.hooks.call(engine.hooks.started, container)


def _failure(container: Container, error: Exception) -> EngineError:
    """Return an error whose words the ``docker`` command turns into exit status 126 or 127."""
    if isinstance(error, LaunchError) and error.kind in ("not_found", "not_executable", "invalid"):
        said = error.message
        if error.kind == "not_executable" and "permission denied" not in said.lower():
            said += " (permission denied)"  # what the command looks for
        return CannotStartError(f"failed to start container {container.name}: {said}")
    reason = error.message if isinstance(error, LaunchError) else str(error)
    return EngineError(f"failed to start container {container.name}: {reason}")


def _exit_code(error: Exception) -> int:
    return _EXIT_CODES.get(getattr(error, "kind", ""), 128)


def _record_failure(engine: Engine, container: Container, failure: EngineError, code: int) -> None:
    """Note why a start failed; a container that never ran stays ``created``, as in Docker."""
    state = container.state
    if state.status is Status.RESTARTING:
        state.status = Status.EXITED
    state.exit_code = code
    state.error = failure.message
    engine.store.save_state(container)
    container.announce_failed_start()
    if container.host_config.auto_remove:
        engine.supervisor.remove_later(container)
