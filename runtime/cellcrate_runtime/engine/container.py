"""A container, as the engine knows it: what it is, how it is, and who waits for it."""

from __future__ import annotations

import asyncio
import enum
from pathlib import Path
from typing import Any, Literal

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.types import ContainerConfig, HostConfig, MountPoint
from cellcrate_runtime.engine.shim.ready import group_path
from cellcrate_runtime.engine.shim_client import ShimConnection
from cellcrate_runtime.oci.spec import IDMapping

__all__ = ["Container", "ContainerState", "Definition", "ExitStatus", "Status", "WaitCondition"]

WaitCondition = Literal["not-running", "next-exit", "removed"]


class Status(enum.Enum):
    """Where a container is in its life, in the words of the Docker Engine API."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class ExitStatus(msgspec.Struct, frozen=True):
    """How a container ended."""

    code: int
    error: str = ""


class ContainerState(msgspec.Struct):
    """How a container is; moments are nanoseconds since 1970, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    # Somebody asked for the stop: `unless-stopped` and `on-failure` leave the container alone.
    stopped_by_user: bool = False

    @property
    def running(self) -> bool:
        """Whether it counts as running, which as in Docker it also does between restarts."""
        return self.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.status in (Status.RUNNING, Status.PAUSED)


class Definition(msgspec.Struct, kw_only=True):
    """What a container is: all that is needed to start it again."""

    id: str
    name: str
    created: int
    image: str  # the id of its image, "sha256:…"
    path: str  # the program and its arguments: entry point and command together
    args: list[str]
    config: ContainerConfig
    host_config: HostConfig
    mounts: list[MountPoint] = []
    # The ids that its files have on disk; None: those that it sees itself, which mounts translate.
    shift: IDMapping | None = None


class Container:
    """One container.

    Attributes:
        definition: What it is. Replaced by ``rename`` and ``update``.
        state: How it is. Changed by the engine's lifecycle alone.
        folder: Its folder on disk.
        on_disk: Resolves when a crash of the machine cannot take a new container away any more.
        shim: The connection to its shim while there is one.
        lock: Held by whoever starts, pauses, updates or removes it.
        restarted_by_user: A restart is under way, so ``--rm`` does not remove it now.
        gone: It has been removed; whoever still has this object may do nothing with it.
        extras: What other subjects (health, execs, ...) keep about it, by their name.
    """

    def __init__(
        self, definition: Definition, folder: Path, state: ContainerState | None = None
    ) -> None:
        self.definition = definition
        self.folder = folder
        self.state = state or ContainerState()
        self.on_disk: asyncio.Future[None] | None = None
        self.shim: ShimConnection | None = None
        self.lock = asyncio.Lock()
        self.restarted_by_user = False
        self.gone = False
        self.extras: dict[str, Any] = {}
        self._next_exit: set[asyncio.Future[ExitStatus]] = set()
        self._removed: set[asyncio.Future[ExitStatus]] = set()

    def __repr__(self) -> str:
        return f"<Container {self.name} {self.id[:12]} {self.state.status.value}>"

    # -- what it is ----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self.definition.id

    @property
    def name(self) -> str:
        """Its name, without the slash that the API puts in front."""
        return self.definition.name

    @property
    def config(self) -> ContainerConfig:
        """What the program is."""
        return self.definition.config

    @property
    def host_config(self) -> HostConfig:
        """How it sits on this machine."""
        return self.definition.host_config

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, those of its image included."""
        return self.definition.config.labels

    @property
    def log_path(self) -> Path:
        """The log that its shim writes."""
        return self.folder / f"{self.id}-json.log"

    @property
    def exit_file(self) -> Path:
        """Where its shim writes how it ended."""
        return self.folder / "exit.json"

    @property
    def cgroup_path(self) -> str:
        """Its cgroup, below the engine's root."""
        return group_path(self.id)

    def event_attributes(self, **more: str) -> dict[str, str]:
        """Return the attributes that Docker gives events of a container."""
        return {**self.labels, "image": self.config.image, "name": self.name, **more}

    # -- who waits for it ----------------------------------------------------------------------

    async def wait(self, condition: WaitCondition = "not-running") -> ExitStatus:
        """Wait until it has ended, ends the next time, or is removed; return how it ended."""
        if condition == "not-running" and not self.state.running:
            return self.exit_status
        future: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        waiting = self._removed if condition == "removed" else self._next_exit
        waiting.add(future)
        try:
            return await future
        finally:
            waiting.discard(future)

    @property
    def exit_status(self) -> ExitStatus:
        """How it ended the last time."""
        return ExitStatus(self.state.exit_code, self.state.error)

    def announce_exit(self) -> None:
        """Wake those who wait for its end."""
        self._wake(self._next_exit, self.exit_status)

    def announce_failed_start(self) -> None:
        """Wake those who wait for its end: there will be none. Who started it is told why."""
        self._wake(self._next_exit, ExitStatus(self.state.exit_code))

    def announce_removal(self) -> None:
        """Wake everybody: it is gone."""
        status = ExitStatus(self.state.exit_code)
        self._wake(self._removed, status)
        self._wake(self._next_exit, status)

    def _wake(self, waiting: set[asyncio.Future[ExitStatus]], status: ExitStatus) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(status)

    # -- how it changes ------------------------------------------------------------------------

    def mark_running(self, pid: int, started_at: int) -> None:
        """Record that its first process runs, and since when."""
        state = self.state
        state.status = Status.RUNNING
        state.pid = pid
        state.exit_code = 0
        state.error = ""
        state.oom_killed = False
        state.started_at = started_at

    def mark_ended(self, status: Status, code: int, error: str, oom: bool, moment: int) -> None:
        """Record that its first process ended."""
        state = self.state
        state.status = status
        state.pid = 0
        state.exit_code = code
        state.error = error
        state.oom_killed = oom
        state.finished_at = moment or timestamps.now()
