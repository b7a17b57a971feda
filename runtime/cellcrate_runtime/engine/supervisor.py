"""What happens when a container ends: it is recorded, told, restarted or removed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.background import Background
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import EngineError
from cellcrate_runtime.engine.protocol import ExitRecord
from cellcrate_runtime.engine.restarting import BackOff, should_restart
from cellcrate_runtime.engine.settling import settle
from cellcrate_runtime.engine.shim_client import ShimConnection

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Supervisor"]

_BACK_OFF = "back-off"  # of Container.extras
_log = logging.getLogger("cellcrate.supervisor")


class Supervisor:
    """Follows running containers, and starts those again whose policy asks for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._background = Background()
        self._restarts: dict[str, asyncio.TimerHandle] = {}

    def follow(self, container: Container, shim: ShimConnection) -> None:
        """Wait for the end of a container that runs."""
        shim.on_oom = lambda: self._out_of_memory(container)
        shim.on_detach = lambda exec_id: self._detached(container, exec_id)
        shim.exited.add_done_callback(lambda exited: self._exited(container, exited))

    def close(self) -> None:
        """Follow nothing any more; containers go on."""
        for timer in self._restarts.values():
            timer.cancel()
        self._restarts.clear()
        self._background.cancel()

    # -- the end -------------------------------------------------------------------------------

    def _exited(self, container: Container, exited: asyncio.Future[ExitRecord]) -> None:
        if not exited.cancelled():  # cancelled: this engine lets go of the shim
            self.ended(container, exited.result())

    def ended(self, container: Container, record: ExitRecord) -> None:
        """Record how a container ended, and do what its policy says."""
        state, policy = container.state, container.host_config.restart_policy
        ran_for = max(0.0, (record.finished_at - state.started_at) / timestamps.SECOND)
        again = container.state.status is not Status.REMOVING and should_restart(
            policy,
            exit_code=record.exit_code,
            stopped_by_user=state.stopped_by_user,
            restarts=state.restart_count,
        )
        status = Status.RESTARTING if again else Status.EXITED
        container.mark_ended(
            Status.REMOVING if state.status is Status.REMOVING else status,
            record.exit_code,
            record.error,
            record.oom_killed or state.oom_killed,
            record.finished_at,
        )
        self._engine.store.save_state(container)
        self._engine.publish(
            container, "die", exitCode=str(record.exit_code), execDuration=str(int(ran_for))
        )
        self._engine.hooks.call(self._engine.hooks.ended, container)
        container.announce_exit()
        if record.error:
            self._background.spawn(self._settle(container))
        if again:
            self.restart_later(container, ran_for)
        elif container.host_config.auto_remove and not container.restarted_by_user:
            self.remove_later(container)
        self._engine.idle.look()

    async def _settle(self, container: Container) -> None:
        """Clear away what the container's shim, which was killed, could not."""
        async with container.lock:
            if not container.state.alive and not container.gone:
                await settle(self._engine, container)

    def _out_of_memory(self, container: Container) -> None:
        if not container.state.oom_killed:
            container.state.oom_killed = True
            self._engine.store.save_state(container)
        self._engine.publish(container, "oom")

    def _detached(self, container: Container, exec_id: str) -> None:
        if exec_id:
            self._engine.publish(container, "exec_detach", execID=exec_id)
        else:
            self._engine.publish(container, "detach")

    # -- what follows --------------------------------------------------------------------------

    def restart_later(self, container: Container, ran_for: float) -> None:
        """Start a container again after the pause that its policy's back-off asks for."""
        back_off: BackOff = container.extras.setdefault(_BACK_OFF, BackOff())
        pause = back_off.next(ran_for)
        loop = asyncio.get_running_loop()
        self._restarts[container.id] = loop.call_later(
            pause, lambda: self._background.spawn(self._restart(container))
        )

    def cancel_restart(self, container: Container) -> None:
        """Leave a container that waits for its restart as it is: ended."""
        timer = self._restarts.pop(container.id, None)
        if timer is not None:
            timer.cancel()
        if container.state.status is Status.RESTARTING:
            container.state.status = Status.EXITED
            self._engine.store.save_state(container)

    async def _restart(self, container: Container) -> None:
        from cellcrate_runtime.engine.starting import launch

        self._restarts.pop(container.id, None)
        async with container.lock:
            if container.state.status is not Status.RESTARTING:
                return
            container.state.restart_count += 1
            try:
                await launch(self._engine, container)
            except EngineError as error:
                _log.warning("container %s is not restarted: %s", container.name, error.message)
                self._engine.idle.look()

    def remove_later(self, container: Container) -> None:
        """Remove a container that asked for it with ``--rm``."""
        self._background.spawn(self._remove(container))

    async def _remove(self, container: Container) -> None:
        from cellcrate_runtime.engine.removing import remove

        try:
            await remove(self._engine, container, force=True)
        except EngineError as error:
            _log.warning("container %s is not removed: %s", container.name, error.message)
