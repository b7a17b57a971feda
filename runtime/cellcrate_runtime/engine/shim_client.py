"""The engine's side of a shim: one :class:`ShimConnection` for each running container."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from cellcrate_runtime.engine import protocol, wire
from cellcrate_runtime.engine.async_channel import Channel, ChannelClosedError
from cellcrate_runtime.engine.files_client import Files
from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.oci.spec import Process

__all__ = ["LaunchError", "ShimConnection", "ShimError", "ShimGoneError", "read_exit_file"]

_RETRY = 0.02  # seconds


class ShimError(Exception):
    """A shim could not do what it was asked.

    Attributes:
        kind: What sort of failure it was, for choosing an HTTP status.
        message: What happened, for people.
    """

    def __init__(self, kind: protocol.FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class LaunchError(ShimError):
    """A container could not be started; nothing of the attempt is left."""


class ShimGoneError(ShimError):
    """The shim ended, or was killed, before it answered."""

    def __init__(self, message: str) -> None:
        super().__init__("gone", message)


class ShimConnection:
    """A running container, through its shim. All methods run on the engine's event loop.

    Attributes:
        shim: The process id of the shim.
        pid: The process id of the container's first process, as the host sees it.
        started_at: When the program was executed, in nanoseconds since the epoch.
        execs: The process ids of the execs that run, by exec id.
        exited: Resolves when the container has ended and all its output is in the log. When the
            shim was killed, and the container with it, the record says so in ``error``.
        closed: Resolves when the shim has left the container's folders, control group and run
            folder, all removed or released. Remove a container's files only then.
        on_oom: Called when the kernel killed a process of the container for want of memory.
        on_exec_exit: Called with the exec's id and exit code, after all its output was handed over.
        on_detach: Called with an exec's id, or "" for the container, when a client used its
            detach keys.
    """

    def __init__(self, endpoint: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self.shim = 0
        self.pid = 0
        self.started_at = 0
        self.execs: dict[str, int] = {}
        self.exited: asyncio.Future[protocol.ExitRecord] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.on_oom: Callable[[], None] = _ignore
        self.on_exec_exit: Callable[[str, int], None] = _ignore
        self.on_detach: Callable[[str], None] = _ignore
        self._started: asyncio.Future[None] = loop.create_future()
        self._requests = itertools.count(1)
        self._pending: dict[int, asyncio.Future[protocol.ShimMessage]] = {}
        self._channel = Channel(endpoint, wire.shim_messages, self._receive, self._lost)

    @classmethod
    async def reconnect(cls, run_dir: Path) -> ShimConnection:
        """Connect to the shim of a container that an earlier engine started.

        A shim that is just starting or leaving is waited for.

        Raises:
            ShimGoneError: There is no shim (any more). What its container left can be removed with
                :func:`cellcrate_runtime.engine.shim.leftovers.clear`.
        """
        while True:
            # Looked at first: a shim lets go of the lock only after its socket is gone.
            alive = run_folder.is_locked(run_dir)
            try:
                return await cls.handshake(run_folder.connect(run_dir))
            except (OSError, ShimGoneError) as error:
                if not alive:
                    raise ShimGoneError(f"no shim answers in {run_dir}: {error}") from error
            await asyncio.sleep(_RETRY)  # it is just starting, or just leaving

    @classmethod
    async def handshake(cls, endpoint: socket.socket) -> ShimConnection:
        """Wait on a new control connection until the shim says that its container runs.

        Raises:
            LaunchError: The container could not be started.
            ShimGoneError: The shim, or the launcher before it, ended without a word.
        """
        connection = cls(endpoint)
        try:
            await connection._started
        except BaseException:
            connection.close()
            raise
        return connection

    async def attach(self, client: int, attachment: protocol.Attachment) -> None:
        """Hand a client's connection over; close your own descriptor afterwards.

        Raises:
            ShimError: The container has just ended, or the shim has.
        """
        await self._ask(protocol.Attach(attachment=attachment), [client])

    async def execute(
        self,
        exec_id: str,
        process: Process,
        *,
        user: str = "",
        client: int | None = None,
        attachment: protocol.Attachment | None = None,
        open_stdin: bool = False,
    ) -> int:
        """Run another program in the container and return its process id, as the host sees it.

        Args:
            exec_id: How later messages name it.
            process: The program; with ``process.terminal`` for a terminal.
            user: As ``docker exec --user``: looked up in the container; empty: ``process.user``.
            client: A connection to attach; close your own descriptor afterwards.
            attachment: What the client takes part in.
            open_stdin: Whether the program's input is the clients', and not empty.

        Raises:
            ShimError: The program does not exist (``not_found``), may not be executed
                (``not_executable``), or the container has ended (``gone``, ``conflict``).
        """
        request = protocol.Exec(
            exec_id=exec_id,
            process=process,
            user=user,
            open_stdin=open_stdin,
            attachment=attachment,
        )
        answer = await self._ask(request, [] if client is None else [client])
        if not isinstance(answer, protocol.ExecStarted):
            raise ShimError("internal", f"the shim answered an exec with {answer}")
        return answer.pid

    async def signal(self, number: int) -> None:
        """Send a signal to the container's first process.

        Raises:
            ShimError: It has ended (``gone``), or there is no such signal (``invalid``).
        """
        await self._ask(protocol.Signal(number=number))

    async def resize(self, width: int, height: int, exec_id: str = "") -> None:
        """Change the size of the container's terminal, or of an exec's, in characters.

        Raises:
            ShimError: There is no terminal (``conflict``).
        """
        await self._ask(protocol.Resize(width=width, height=height, exec_id=exec_id))

    async def close_stdin(self) -> None:
        """Close the container's input once what was sent before has been read."""
        await self._ask(protocol.CloseStdin())

    def files(self) -> Files:
        """The container's files as its processes see them, volumes and tmpfs included."""
        return Files(self._work)

    def close(self) -> None:
        """Let go of the shim, which goes on. ``exited`` and ``closed`` are cancelled."""
        self._channel.close()
        self._fail_pending("the engine let go of the shim")
        for future in (self._started, self.exited, self.closed):
            future.cancel()

    async def _work(self, task: protocol.Task, descriptors: Sequence[int]) -> None:
        await self._ask(protocol.Work(task=task), descriptors)

    async def _ask(
        self, request: protocol.ShimRequest, descriptors: Sequence[int] = ()
    ) -> protocol.ShimMessage:
        request.request = number = next(self._requests)
        answer: asyncio.Future[protocol.ShimMessage] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            await self._channel.send(request, descriptors)
            message = await answer
        except ChannelClosedError as error:
            raise ShimGoneError("the container's shim has ended") from error
        except wire.MessageTooLongError as error:
            raise ShimError("invalid", str(error)) from error
        finally:
            self._pending.pop(number, None)
        if isinstance(message, protocol.Refused):
            raise ShimError(message.kind, message.message)
        return message

    def _receive(self, message: protocol.ShimMessage) -> None:
        match message:
            case protocol.Started():
                self.shim, self.pid = message.shim, message.pid
                self.started_at, self.execs = message.started_at, dict(message.execs)
                if not self._started.done():
                    self._started.set_result(None)
            case protocol.Failed():
                if not self._started.done():
                    self._started.set_exception(LaunchError(message.kind, message.message))
            case protocol.Exited():
                if not self.exited.done():
                    self.exited.set_result(message.record)
            case protocol.ExecExited():
                self.execs.pop(message.exec_id, None)
                self.on_exec_exit(message.exec_id, message.exit_code)
            case protocol.OutOfMemory():
                self.on_oom()
            case protocol.Detached():
                self.on_detach(message.exec_id)
            case protocol.ExecStarted() | protocol.Done() | protocol.Refused():
                if isinstance(message, protocol.ExecStarted):
                    self.execs[message.exec_id] = message.pid
                answer = self._pending.get(message.request)
                if answer is not None and not answer.done():
                    answer.set_result(message)

    def _lost(self) -> None:
        """The shim's end closed: after :class:`Exited` that is how it leaves."""
        self._fail_pending("the container's shim has ended")
        if not self._started.done():
            self._started.set_exception(
                ShimGoneError(
                    "the launcher or the shim ended before the container was started; "
                    "the engine's log may say why"
                )
            )
            self.exited.cancel()
        elif not self.exited.done():
            self.exited.set_result(lost_record(self.started_at))
        if not self.closed.done():
            self.closed.set_result(None)

    def _fail_pending(self, reason: str) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ShimGoneError(reason))
        self._pending.clear()


def lost_record(started_at: int) -> protocol.ExitRecord:
    """What is known of a container whose shim was killed: the kernel killed it as well."""
    return protocol.ExitRecord(
        exit_code=137,
        oom_killed=False,
        started_at=started_at,
        finished_at=time.time_ns(),
        error="the container's shim was killed, and the container with it",
    )


def read_exit_file(path: Path) -> protocol.ExitRecord | None:
    """Read how a container ended while no engine was there; None when nothing was written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=protocol.ExitRecord)
    except FileNotFoundError:
        return None


def _ignore(*_arguments: object) -> None:
    pass
