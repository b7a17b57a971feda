"""Stop, kill, restart, pause and unpause."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.container import Container, ExitStatus, Status
from cellcrate_runtime.engine.errors import (
    ConflictError,
    ContainerNotRunningError,
    EngineError,
    NotModifiedError,
)
from cellcrate_runtime.engine.shim_client import ShimError
from cellcrate_runtime.engine.signals import parse_signal
from cellcrate_runtime.engine.starting import launch
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, hierarchy

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["end_now", "kill", "pause", "restart", "stop", "unpause"]

_DEFAULT_TIMEOUT = 10  # seconds, Docker's
_KILL_PATIENCE = 10.0  # seconds for the kernel to end a killed container


async def stop(
    engine: Engine, container: Container, *, signal_name: str = "", timeout: int | None = None
) -> None:
    """Ask a container to end, and kill it when it has not in time.

    Args:
        engine: Whose container.
        container: Which.
        signal_name: How it is asked; its own stop signal when empty, which is SIGTERM by default.
        timeout: Seconds; -1 waits for ever, None is the container's own stop timeout.

    Raises:
        NotModifiedError: It does not run.
    """
    if not container.state.running:
        raise NotModifiedError("container is already stopped")
    number = parse_signal(signal_name or container.config.stop_signal or "SIGTERM")
    await _end(engine, container, number, _timeout(container, timeout))
    engine.publish(container, "stop")


async def restart(
    engine: Engine, container: Container, *, signal_name: str = "", timeout: int | None = None
) -> None:
    """Stop a container if it runs, and start it; ``--rm`` does not remove it in between."""
    container.restarted_by_user = True
    try:
        if container.state.running:
            await stop(engine, container, signal_name=signal_name, timeout=timeout)
        async with container.lock:
            if container.state.status in (Status.REMOVING, Status.DEAD):
                raise ConflictError("container is marked for removal and cannot be started")
            if not container.state.running:
                container.state.stopped_by_user = False
                await launch(engine, container)
    finally:
        container.restarted_by_user = False
    engine.publish(container, "restart")


async def kill(engine: Engine, container: Container, signal_name: str = "") -> None:
    """Send a signal to a container's first process; SIGKILL by default, and then wait for its end.

    Raises:
        ConflictError: It does not run.
    """
    number = parse_signal(signal_name or "SIGKILL")
    if not container.state.alive or container.shim is None:
        raise ConflictError(
            f"cannot kill container: {container.name}: container {container.id} is not running"
        )
    stop_signal = container.config.stop_signal
    ends = number == signal.SIGKILL or not stop_signal or parse_signal(stop_signal) == number
    if ends:
        # As in Docker: the policy leaves alone what somebody ended on purpose.
        container.state.stopped_by_user = True
        engine.store.save_state(container)
    ended = asyncio.ensure_future(container.wait("not-running"))
    try:
        await _signal(engine, container, number)
        if ends and container.state.status is Status.PAUSED:
            with contextlib.suppress(EngineError):  # it may have ended, and its group with it
                await _thaw(container)
        if number == signal.SIGKILL:
            await _await_killed(container, ended)
    finally:
        ended.cancel()


async def pause(engine: Engine, container: Container) -> None:
    """Stop all processes of a container where they are.

    Raises:
        ConflictError: It does not run, or is paused already.
        EngineError: This machine has nothing to freeze it with.
    """
    async with container.lock:
        if container.state.status is Status.PAUSED:
            raise ConflictError(f"container {container.id} is already paused")
        if container.state.status is Status.RESTARTING:
            raise ConflictError(
                f"Container {container.id} is restarting, wait until the container is running"
            )
        if not container.state.alive:
            raise ContainerNotRunningError(container.id)
        if not hierarchy().writable:
            raise EngineError(
                f"cannot pause container {container.id}: {hierarchy().unavailable('freezer')}"
            )
        try:
            await asyncio.to_thread(lambda: Cgroup.open(container.cgroup_path).freeze())
        except (CgroupError, OSError) as error:
            raise EngineError(f"cannot pause container {container.id}: {error}") from error
        if container.state.alive:
            container.state.status = Status.PAUSED
            engine.store.save_state(container)
            engine.publish(container, "pause")


async def unpause(engine: Engine, container: Container) -> None:
    """Let a paused container go on.

    Raises:
        ConflictError: It is not paused.
    """
    async with container.lock:
        if container.state.status is not Status.PAUSED:
            raise ConflictError(f"Container {container.id} is not paused")
        await _thaw(container)
        container.state.status = Status.RUNNING
        engine.store.save_state(container)
        engine.publish(container, "unpause")


async def end_now(engine: Engine, container: Container) -> None:
    """Kill a container and wait until it has ended, as a forced removal does."""
    await _end(engine, container, signal.SIGKILL, 0)


async def _end(engine: Engine, container: Container, number: int, timeout: float | None) -> None:
    container.state.stopped_by_user = True
    engine.supervisor.cancel_restart(container)
    async with container.lock:
        pass  # a start that is under way must be through before there is something to signal
    if not container.state.alive or container.shim is None:
        engine.store.save_state(container)
        return
    engine.store.save_state(container)
    ended = asyncio.ensure_future(container.wait("not-running"))
    try:
        await _signal(engine, container, number)
        if container.state.status is Status.PAUSED:
            with contextlib.suppress(EngineError):  # it may have ended, and its group with it
                await _thaw(container)  # a frozen process takes no signal
        if number != signal.SIGKILL:
            await asyncio.wait((ended,), timeout=timeout)
        if not ended.done():
            await _kill_surely(engine, container, ended)
    finally:
        ended.cancel()


async def _kill_surely(
    engine: Engine, container: Container, ended: asyncio.Future[ExitStatus]
) -> None:
    if container.state.alive:
        await _signal(engine, container, signal.SIGKILL)
    await _await_killed(container, ended)


async def _await_killed(container: Container, ended: asyncio.Future[ExitStatus]) -> None:
    await asyncio.wait((ended,), timeout=_KILL_PATIENCE)
    if not ended.done():
        raise EngineError(
            f"container {container.name} was killed and has not ended: its process "
            f"{container.state.pid} may be stuck in the kernel (state D in ps)"
        )


async def _signal(engine: Engine, container: Container, number: int) -> None:
    shim = container.shim
    if shim is None:
        return
    try:
        await shim.signal(number)
    except ShimError as error:
        if error.kind != "gone":
            raise EngineError(f"cannot kill container {container.id}: {error.message}") from error
    engine.publish(container, "kill", signal=str(number))


async def _thaw(container: Container) -> None:
    try:
        await asyncio.to_thread(lambda: Cgroup.open(container.cgroup_path).thaw())
    except (CgroupError, OSError) as error:
        raise EngineError(f"cannot unpause container {container.id}: {error}") from error


def _timeout(container: Container, given: int | None) -> float | None:
    """Return how long to wait, in seconds; None is for ever."""
    seconds = container.config.stop_timeout if given is None else given
    if seconds is None:
        seconds = _DEFAULT_TIMEOUT
    return None if seconds < 0 else float(seconds)
