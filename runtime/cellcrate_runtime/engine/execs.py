"""Further programs in running containers: ``docker exec``.

The program is a child of the container's shim, which also gets the client's connection, so a
session goes on when the engine does not. The engine knows what was asked for and how it ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cellcrate_runtime.engine import detach_keys, exec_records
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.errors import (
    BadRequestError,
    ConflictError,
    ContainerNotRunningError,
    EngineError,
    NotFoundError,
)
from cellcrate_runtime.engine.exec_config import ExecConfig
from cellcrate_runtime.engine.exec_process import process_for
from cellcrate_runtime.engine.protocol import Attachment
from cellcrate_runtime.engine.shim_client import ShimConnection, ShimError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Exec", "ExecNotFoundError", "Execs", "check_running"]

# Shells report a program that is not there, or may not be executed, so; POSIX, "Exit Status".
_EXIT_CODES = {"not_found": 127, "not_executable": 126}
_KILLED = 137
# How long the shim may take to say how a program ended whose process is gone already.
_PATIENCE = 5.0
# For how many seconds an exec that ended can be inspected.
_REMEMBERED = 300.0


class ExecNotFoundError(NotFoundError):
    """No exec has this id."""

    def __init__(self, exec_id: str) -> None:
        super().__init__(f"No such exec instance: {exec_id}")


class Exec:
    """One further program, from its creation until its container is started anew or removed.

    Attributes:
        id: 64 hexadecimal digits.
        container: Where it runs.
        config: What was asked for.
        pid: Its process id as the host counts, 0 before its start.
        exit_code: How it ended; None before.
    """

    def __init__(self, container: Container, config: ExecConfig, exec_id: str = "") -> None:
        self.id = exec_id or secrets.token_hex(32)
        self.container = container
        self.config = config
        self.pid = 0
        self.exit_code: int | None = None
        self.started = False
        self.recorded = False
        self.ended = asyncio.Event()

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.started and self.exit_code is None

    @property
    def command(self) -> str:
        """Its program and arguments, as events have them: with a space after the program."""
        program, *arguments = self.config.cmd
        return f"{program} {' '.join(arguments)}"

    async def settle(self) -> None:
        """Wait until the engine has heard how it ended, if its process is gone already.

        Its client sees its output end before the engine hears of it, and asks for the exit code.
        """
        if self.running and self.pid and not _is_alive(self.pid):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), _PATIENCE)


class Execs:
    """All execs of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Exec] = {}
        engine.hooks.started.append(self._container_started)
        engine.hooks.ended.append(self._container_ended)
        engine.hooks.removed.append(self._forget_all_of)

    def get(self, exec_id: str) -> Exec:
        """Return the exec with this id.

        Raises:
            ExecNotFoundError: There is none.
        """
        try:
            return self._by_id[exec_id]
        except KeyError:
            raise ExecNotFoundError(exec_id) from None

    def of(self, container: Container) -> Iterator[Exec]:
        """Give the execs of a container that have not ended."""
        for item in list(self._by_id.values()):
            if item.container is container and item.exit_code is None:
                yield item

    def create(self, container: Container, config: ExecConfig) -> Exec:
        """Prepare a program to be started in a running container.

        Raises:
            ConflictError: The container does not run, or is paused.
            BadRequestError: There is no command, or something about it cannot be.
        """
        check_running(container)
        if not config.cmd:
            raise BadRequestError("No exec command specified")
        detach_keys.parse(config.detach_keys)
        process_for(container, config)
        created = Exec(container, config)
        self._by_id[created.id] = created
        self._publish(created, f"exec_create: {created.command}")
        return created

    def check_startable(self, item: Exec) -> None:
        """See that an exec can be started.

        Raises:
            ConflictError: It was started before, or its container does not run any more.
        """
        if item.exit_code is not None:
            raise ConflictError(f"Error: Exec command {item.id} has already run")
        if item.started:
            raise ConflictError(f"Error: Exec command {item.id} is already running")
        check_running(item.container)

    async def start(
        self, item: Exec, client: int | None = None, early: bytes = b"", *, record: bool = True
    ) -> None:
        """Start an exec, and connect a client to it.

        Args:
            item: What to start.
            client: The client's connection. It stays the caller's to close.
            early: What the client has sent already.
            record: Have it known to the engine after this one.

        Raises:
            BadRequestError: The program is not there or may not be executed; as with a shell, its
                exit code is then 127 or 126.
            EngineError: It could not be started for another reason.
        """
        self.check_startable(item)
        item.started, item.recorded = True, record
        config = item.config
        self._publish(item, f"exec_start: {item.command}")
        attachment = Attachment(
            stdin=config.attach_stdin,
            stdout=config.attach_stdout,
            stderr=config.attach_stderr,
            detach_keys=detach_keys.parse(config.detach_keys),
            initial_input=early,
        )
        process, size = process_for(item.container, config), config.console_size
        try:
            item.pid = await self._shim(item.container).execute(
                item.id,
                process,
                user=config.user or item.container.config.user,
                client=client,
                attachment=attachment if client is not None else None,
                open_stdin=config.attach_stdin,
            )
        except ShimError as error:
            self._ended(item.id, _EXIT_CODES.get(error.kind, 126))
            kind = BadRequestError if error.kind in _EXIT_CODES else EngineError
            raise kind(f"OCI runtime exec failed: exec failed: {error.message}") from error
        self._write_down(item)
        if config.console_size is not None and config.console_size != size:
            height, width = config.console_size  # it came while the program was being started
            with contextlib.suppress(ConflictError):  # it has ended already
                await self.resize(item, width, height)

    async def resize(self, item: Exec, width: int, height: int) -> None:
        """Change the size of an exec's terminal; of one not yet started, that it will begin with.

        Raises:
            ConflictError: It has no terminal, or has ended.
        """
        if not item.pid and item.exit_code is None:
            item.config.console_size = (height, width)
            return
        try:
            await self._shim(item.container).resize(width, height, item.id)
        except ShimError as error:
            raise ConflictError(f"cannot resize exec {item.id}: {error.message}") from error

    def forget(self, item: Exec) -> None:
        """Let an exec be unknown from now on."""
        self._by_id.pop(item.id, None)
        if item.recorded:
            exec_records.erase(item.container, item.id)

    def _shim(self, container: Container) -> ShimConnection:
        shim = container.shim
        if not isinstance(shim, ShimConnection):
            raise ContainerNotRunningError(container.id)
        return shim

    def _publish(self, item: Exec, action: str, **attributes: str) -> None:
        self._engine.publish(item.container, action, execID=item.id, **attributes)

    def _ended(self, exec_id: str, exit_code: int) -> None:
        item = self._by_id.get(exec_id)
        if item is None or item.exit_code is not None:
            return
        item.exit_code = exit_code
        item.ended.set()
        self._write_down(item)
        self._publish(item, "exec_die", exitCode=str(exit_code))
        asyncio.get_running_loop().call_later(_REMEMBERED, self.forget, item)

    def _container_started(self, container: Container) -> None:
        """Listen to its shim; and if an earlier engine started it, find what runs in it."""
        self._forget_all_of(container)
        if not isinstance(container.shim, ShimConnection):
            return
        container.shim.on_exec_exit = self._ended
        for exec_id, record in exec_records.read_all(container):
            item = Exec(container, record.config, exec_id)
            item.started = item.recorded = True
            item.pid = record.pid
            self._by_id[exec_id] = item
            if record.exit_code is not None:
                item.exit_code = record.exit_code
                item.ended.set()
                asyncio.get_running_loop().call_later(_REMEMBERED, self.forget, item)

    def _write_down(self, item: Exec) -> None:
        if item.recorded:
            record = exec_records.Record(item.config, item.pid, item.exit_code)
            exec_records.write(item.container, item.id, record)

    def _container_ended(self, container: Container) -> None:
        """Nothing that ran in a container outlives its first process."""
        for item in self.of(container):
            if item.started:
                self._ended(item.id, _KILLED)

    def _forget_all_of(self, container: Container) -> None:
        for item in list(self._by_id.values()):
            if item.container is container:
                del self._by_id[item.id]


def check_running(container: Container) -> None:
    """See that programs can be run in a container.

    Raises:
        ConflictError: It does not run, is paused, or is between two runs.
    """
    match container.state.status:
        case Status.RUNNING:
            return
        case Status.PAUSED:
            raise ConflictError(
                f"Container {container.name} is paused, unpause the container before exec"
            )
        case Status.RESTARTING:
            raise ConflictError(
                f"Container {container.name} is restarting, wait until the container is running"
            )
        case _:
            raise ContainerNotRunningError(container.id)


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and waits for its parent does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # After the program's name, which is in parentheses and may contain any character.
            return file.read().rpartition(b") ")[2][:1] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False
