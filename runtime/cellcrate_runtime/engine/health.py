"""Health checks: a command that is run in a container again and again, to see that it works.

Source: Dockerfile reference, "HEALTHCHECK"; Docker Engine API reference, "Health".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.health_probe import ProbeResult, command, run_probe
from cellcrate_runtime.engine.timestamps import SECOND

if TYPE_CHECKING:
    from cellcrate_runtime.engine.api.types import HealthConfig
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Health", "HealthChecks", "ProbeResult"]

_log = logging.getLogger("cellcrate.health")

# Docker's defaults, in nanoseconds: Dockerfile reference, "HEALTHCHECK".
_INTERVAL = 30 * SECOND
_TIMEOUT = 30 * SECOND
_START_INTERVAL = 5 * SECOND
_RETRIES = 3

_KEPT_RESULTS = 5
_EXTRA = "health"  # in Container.extras


class Health(msgspec.Struct, rename="pascal"):
    """What ``inspect`` shows as ``State.Health``."""

    status: str = "starting"  # then healthy or unhealthy
    failing_streak: int = 0
    log: list[ProbeResult] = []


class _Record(msgspec.Struct):
    """A container's health on disk, for the engine after this one."""

    started_at: int  # of the run that it is about
    health: Health


class HealthChecks:
    """The health of the containers of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._monitors: dict[str, asyncio.Task[None]] = {}
        engine.hooks.started.append(self._start)
        engine.hooks.ended.append(self._stop)
        engine.hooks.removed.append(self._stop)

    def of(self, container: Container) -> Health | None:
        """Return the health of a container; None when it is not checked."""
        if command(container.config) is None:
            return None
        health = container.extras.get(_EXTRA)
        if not isinstance(health, Health):
            record = _read(container)
            health = container.extras[_EXTRA] = record.health if record else Health()
        return health

    async def close(self) -> None:
        """Stop checking; the containers go on."""
        monitors = list(self._monitors.values())
        for monitor in monitors:
            monitor.cancel()
        await asyncio.gather(*monitors, return_exceptions=True)

    def _start(self, container: Container) -> None:
        """Check a container that was started, or found running by a new engine."""
        self._stop(container)
        if command(container.config) is None:
            return
        record = _read(container)
        same_run = record is not None and record.started_at == container.state.started_at
        container.extras[_EXTRA] = record.health if record and same_run else Health()
        monitor = asyncio.ensure_future(self._monitor(container))
        monitor.add_done_callback(_report)
        self._monitors[container.id] = monitor

    def _stop(self, container: Container) -> None:
        monitor = self._monitors.pop(container.id, None)
        if monitor is not None:
            monitor.cancel()

    async def _monitor(self, container: Container) -> None:
        config = container.config.healthcheck
        arguments = command(container.config)
        assert config is not None
        assert arguments is not None
        timeout = (config.timeout or _TIMEOUT) / SECOND
        while True:
            await asyncio.sleep(self._interval(container, config) / SECOND)
            if container.state.status is Status.RUNNING:
                result = await run_probe(self._engine.execs, container, arguments, timeout)
                if result is not None:
                    self._note(container, config, result)

    def _interval(self, container: Container, config: HealthConfig) -> int:
        """Return how long to wait for the next check, in nanoseconds."""
        health = self.of(container)
        if health and health.status == "starting" and _is_starting(container, config):
            return config.start_interval or _START_INTERVAL
        return config.interval or _INTERVAL

    def _note(self, container: Container, config: HealthConfig, result: ProbeResult) -> None:
        """Take one result into account."""
        health = self.of(container)
        assert health is not None
        before = health.status
        health.log = [*health.log, result][-_KEPT_RESULTS:]
        if result.exit_code == 0:
            health.failing_streak = 0
            health.status = "healthy"
        elif before != "starting" or not _is_starting(container, config):
            # While a program starts, failures do not count.
            health.failing_streak += 1
            if health.failing_streak >= (config.retries or _RETRIES):
                health.status = "unhealthy"
        _write(container, health)
        if health.status != before:
            self._engine.publish(container, f"health_status: {health.status}")


def _is_starting(container: Container, config: HealthConfig) -> bool:
    return timestamps.now() - container.state.started_at < config.start_period


def _path(container: Container) -> Path:
    return container.folder / "health.json"


def _read(container: Container) -> _Record | None:
    try:
        return msgspec.json.decode(_path(container).read_bytes(), type=_Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write(container: Container, health: Health) -> None:
    """Write the health down; not forced to the disk, since the next check writes it again."""
    record = _Record(container.state.started_at, health)
    temporary = _path(container).with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):  # the container was removed meanwhile
        temporary.write_bytes(msgspec.json.encode(record))
        temporary.rename(_path(container))


def _report(monitor: asyncio.Task[None]) -> None:
    if not monitor.cancelled() and (error := monitor.exception()) is not None:
        _log.error("a health check stopped", exc_info=error)
