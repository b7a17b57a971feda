"""The engine's side of the launcher: the one process from which containers are forked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cellcrate_runtime.engine import protocol, wire
from cellcrate_runtime.engine.async_channel import Channel, ChannelClosedError
from cellcrate_runtime.engine.files_client import Files, WorkError
from cellcrate_runtime.engine.shim import ready
from cellcrate_runtime.engine.shim_client import LaunchError, ShimConnection, ShimGoneError
from cellcrate_runtime.linux.executables import open_protected, variables_to_find_library

__all__ = ["Launcher"]

_PATIENCE = 5.0  # seconds for a launcher to leave in


class Launcher:
    """Starts containers and file workers.

    The launcher process is started by the first request, or by :meth:`start` to have it warm. When
    it is killed, the requests that it had not finished fail, containers and workers go on, and the
    next request starts another one.

    Args:
        run_dir: The engine's run folder, in which living shims are found.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._process: _Process | None = None
        self._upcoming = _random_id()
        self._is_given_out = False

    def upcoming_id(self) -> str:
        """Return the id for a new container, which then starts fastest if it is the next to start.

        The launcher has the control group of one such id ready.
        """
        if self._is_given_out:
            return _random_id()
        self._is_given_out = True
        return self._upcoming

    @property
    def pid(self) -> int | None:
        """The process id of the launcher, if there is one."""
        process = self._process
        return None if process is None or process.channel.closed else process.pid

    def start(self) -> None:
        """Start the launcher if it does not run; takes about a millisecond, it loads by itself."""
        if self.pid is None:
            self._process = _Process(self._run_dir, self._upcoming)

    async def launch(self, request: protocol.Launch, clients: Sequence[int] = ()) -> ShimConnection:
        """Start a container and return when its program has been executed.

        Args:
            request: What to start; ``request.clients`` has one entry for each of ``clients``.
            clients: Connections to attach from the first byte on. They stay open here: close them
                afterwards, whether this succeeds or not.

        Raises:
            LaunchError: It could not be started; nothing is left of the attempt.
        """
        if self._is_given_out:
            self._upcoming, self._is_given_out = _random_id(), False
        request.upcoming_id = self._upcoming
        here, there = wire.pair()
        try:
            await self._send(request, [there.fileno(), *clients])
        except ChannelClosedError as error:
            here.close()
            raise LaunchError("gone", f"the launcher does not answer: {error}") from error
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        try:
            return await ShimConnection.handshake(here)
        except ShimGoneError as error:
            raise LaunchError(error.kind, error.message) from error

    def files(self, rootfs: protocol.Rootfs, bundle: str = "") -> Files:
        """The files of a container that does not run; with ``bundle``, its volumes too."""

        async def start(task: protocol.Task, descriptors: Sequence[int]) -> None:
            await self._work(protocol.Work(task=task, rootfs=rootfs, bundle=bundle), descriptors)

        return Files(start)

    async def remove_trees(self, *paths: Path) -> None:
        """Remove folders with files whose owners an ordinary user could not remove himself.

        Raises:
            WorkError: Something could not be removed.
        """

        await self.no_files().remove_trees([os.fspath(path) for path in paths])

    def no_files(self) -> Files:
        """Workers for tasks that are about no container's files."""

        async def start(task: protocol.Task, descriptors: Sequence[int]) -> None:
            await self._work(protocol.Work(task=task), descriptors)

        return Files(start)

    async def close(self) -> None:
        """Let the launcher leave, and wait until it has; containers go on."""
        if self._process is not None:
            self._process.channel.close()
            await self._process.has_left(_PATIENCE)
            self._process = None
        await asyncio.to_thread(ready.clear, os.fspath(self._run_dir))

    async def _work(self, request: protocol.Work, descriptors: Sequence[int]) -> None:
        try:
            await self._send(request, descriptors)
        except ChannelClosedError as error:
            raise WorkError("gone", f"the launcher does not answer: {error}") from error

    async def _send(self, request: protocol.LauncherRequest, descriptors: Sequence[int]) -> None:
        self.start()
        assert self._process is not None
        await self._process.channel.send(request, descriptors)


class _Process:
    """One launcher process and the channel to it."""

    def __init__(self, run_dir: Path, upcoming_id: str) -> None:
        here, there = wire.pair()
        with there, _interpreter() as interpreter:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # what lies in the working directory is none of our modules
                    "-m",
                    "cellcrate_runtime.engine.launcher",
                    str(there.fileno()),
                    os.fspath(run_dir),
                    upcoming_id,
                ],
                executable=interpreter,
                env={
                    **os.environ,
                    **variables_to_find_library(),
                    "PYTHONPATH": _module_path(),
                },
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,  # Ctrl-C in the engine's terminal is not for containers
            )
        self.pid = self._child.pid
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.channel: Channel[protocol.ShimMessage] = Channel(
            here, wire.shim_messages, lambda message: None, lambda: None
        )
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    async def has_left(self, patience: float) -> None:
        """Wait until the process has ended, and end it when it has not in so many seconds."""
        try:
            await asyncio.wait_for(asyncio.shield(self.ended), patience)
        except TimeoutError:
            # An engine that is told to leave must: whoever starts the next one waits for its lock.
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            await self.ended

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._child.wait()
        self.channel.close()
        if not self.ended.done():
            self.ended.set_result(None)


@contextlib.contextmanager
def _interpreter() -> Iterator[str]:
    """The interpreter, where no container that gets hold of it can overwrite it."""
    protected = open_protected(os.path.realpath(sys.executable))
    try:
        # By this process's own number: the new one inherits no descriptor that it could leak.
        yield sys.executable if protected is None else f"/proc/{os.getpid()}/fd/{protected}"
    finally:
        if protected is not None:
            os.close(protected)


def _random_id() -> str:
    return secrets.token_hex(32)


def _module_path() -> str:
    """Where another interpreter finds the modules that this one uses, installed or not."""
    ours = os.fspath(Path(__file__).parents[2])
    theirs = os.environ.get("PYTHONPATH")
    return f"{ours}{os.pathsep}{theirs}" if theirs else ours
