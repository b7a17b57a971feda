"""Further programs in a running container: ``docker exec``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from cellcrate_runtime.engine.protocol import Attachment, Exec
from cellcrate_runtime.engine.shim.loop import READABLE, Loop
from cellcrate_runtime.engine.shim.process import Process
from cellcrate_runtime.engine.shim.relay import Relay
from cellcrate_runtime.engine.shim.starting import Container, set_user, terminal_of
from cellcrate_runtime.engine.shim.streams import NoTerminalError, ProgramStreams, close_stdio
from cellcrate_runtime.oci import container as oci
from cellcrate_runtime.oci import spec
from cellcrate_runtime.oci.joining import open_to_joining

__all__ = ["Execs", "exit_code"]

_SILENT = Attachment(stdin=False, stdout=False, stderr=False)


@dataclass
class _Running:
    process: Process
    streams: ProgramStreams
    relay: Relay


class Execs:
    """The execs of one container.

    Args:
        loop: The loop to take part in.
        container: Where they run.
        on_exit: Called with an exec's id and exit code when it has ended and been drained.
        on_detach: Called with an exec's id when its client used the detach keys.
    """

    def __init__(
        self,
        loop: Loop,
        container: Container,
        on_exit: Callable[[str, int], None],
        on_detach: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._container = container
        self._on_exit = on_exit
        self._on_detach = on_detach
        self._running: dict[str, _Running] = {}

    def pids(self) -> dict[str, int]:
        """The process ids of those that run, by exec id."""
        return {exec_id: one.process.pid for exec_id, one in self._running.items()}

    def start(self, request: Exec, client: int | None) -> int:
        """Start a program and return its process id; ``client`` belongs to it from now on.

        Raises:
            OCIError: The program, or its user, does not exist, or cannot be executed.
            OSError: The kernel has no room for another process.
        """
        try:
            with _children_kept(self._container):
                running = self._started(request)
                self._running[request.exec_id] = running
        except BaseException:
            # Closed, not shut down: the engine still has it, to say there what went wrong.
            if client is not None:
                os.close(client)
            raise
        if client is not None:  # nothing is lost: no output has been read yet
            running.relay.attach(client, request.attachment or _SILENT)
        self._loop.watch(
            running.process.pidfd, READABLE, lambda _events: self._ended(request.exec_id)
        )
        return running.process.pid

    def _started(self, request: Exec) -> _Running:
        running = self._create(request)
        try:
            running.process.start()
        except BaseException:
            running.relay.finish()
            running.process.abort()
            raise
        return running

    def resize(self, exec_id: str, width: int, height: int) -> None:
        """Change the size of an exec's terminal.

        Raises:
            NoTerminalError: It has none, or has ended.
        """
        running = self._running.get(exec_id)
        if running is None:
            raise NoTerminalError(f"exec {exec_id} does not run")
        running.streams.resize(width, height)

    def finish(self) -> None:
        """Wait for all of them; the container is ending, which ends them."""
        for exec_id in list(self._running):
            self._ended(exec_id)

    def _create(self, request: Exec) -> _Running:
        process = request.process
        init = self._container.process.pid
        set_user(process, f"/proc/{open_to_joining(init)}/root", request.user, [])
        wanted = request.attachment or _SILENT
        stdin = request.open_stdin and wanted.stdin
        stdio = streams = None
        if not process.terminal:
            streams, stdio = ProgramStreams.pipes(
                stdin=stdin, stdout=wanted.stdout, stderr=wanted.stderr
            )
        try:
            created = self._execute(process, stdio)
        except BaseException:
            if streams is not None:
                streams.close()
            raise
        finally:
            if stdio is not None:
                close_stdio(stdio)
        if streams is None:
            streams = terminal_of(created, stdin=stdin)
        relay = Relay(
            self._loop,
            streams,
            input_once=True,
            on_detach=lambda: self._on_detach(request.exec_id),
        )
        return _Running(created, streams, relay)

    def _execute(self, process: spec.Process, stdio: oci.Stdio | None) -> Process:
        container = self._container
        if container.foreign is not None:
            return container.foreign.execute(process, stdio)
        return oci.execute(
            container.process.pid,
            process,
            spec=container.spec,
            stdio=stdio,
            cgroup=container.cgroup,
        )

    def _ended(self, exec_id: str) -> None:
        running = self._running.pop(exec_id)
        pidfd = running.process.pidfd
        code = exit_code(pidfd)
        self._loop.forget(pidfd)
        os.close(pidfd)
        running.relay.finish()
        self._on_exit(exec_id, code)


def _children_kept(container: Container) -> contextlib.AbstractContextManager[None]:
    """Have nobody reap a process that another runtime makes before it is known here."""
    if container.foreign is None:
        return contextlib.nullcontext()
    from cellcrate_runtime.engine.shim.foreign.program import children_kept

    return children_kept()


def exit_code(pidfd: int) -> int:
    """Reap a process that has ended (or wait until it has): its status, or 128 + its signal."""
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status
