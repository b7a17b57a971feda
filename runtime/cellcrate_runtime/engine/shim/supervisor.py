"""A shim at work: it answers the engine, carries streams, and records how the container ends."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time

from cellcrate_runtime.engine import wire
from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.protocol import (
    Attach,
    CloseStdin,
    Detached,
    Done,
    Exec,
    ExecExited,
    ExecStarted,
    Exited,
    ExitRecord,
    FailureKind,
    OutOfMemory,
    Refused,
    Resize,
    ShimMessage,
    ShimRequest,
    Signal,
    Started,
    Work,
)
from cellcrate_runtime.engine.shim import descendants, ending, run_folder
from cellcrate_runtime.engine.shim.engine_link import EngineLink
from cellcrate_runtime.engine.shim.execs import Execs, exit_code
from cellcrate_runtime.engine.shim.loop import READABLE, Loop
from cellcrate_runtime.engine.shim.relay import Relay
from cellcrate_runtime.engine.shim.starting import Container
from cellcrate_runtime.engine.shim.streams import NoTerminalError
from cellcrate_runtime.engine.workers import inside
from cellcrate_runtime.linux.cgroups import Cgroup, OomWatch
from cellcrate_runtime.oci.errors import OCIError, StartError

__all__ = ["Supervisor"]


class Supervisor:
    """Keeps one container from its start to the last byte of its output."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._loop = Loop()
        self.relay = Relay(
            self._loop,
            container.streams,
            log=container.log,
            input_once=container.request.stdin_once,
            on_detach=lambda: self._link.send(Detached()),
        )
        self._execs = Execs(self._loop, container, self._exec_ended, self._exec_detached)
        self._link = EngineLink(self._loop, self._greeting, self._request)
        self._workers: set[int] = set()
        # A process of another runtime's that nobody reaps would keep the container from ending.
        if not container.has_own_pids or container.foreign is not None:
            descendants.adopt(self._known_children)
        self._loop.watch(container.process.pidfd, READABLE, self._ended)
        self._oom = _watch_memory(container.cgroup)
        self._oom_kills = 0
        if self._oom is not None:
            self._loop.watch(self._oom.fileno(), READABLE, self._out_of_memory)

    @property
    def link(self) -> EngineLink:
        """The connection to the engine."""
        return self._link

    def take_engines_back(self) -> None:
        """Let an engine that was restarted find the container.

        Not needed for its start, and so done after it. Without it nobody would ever find the
        container again: where it fails, the container is ended.
        """
        container = self._container
        folder = container.request.run_dir
        try:
            self._link.take_back(run_folder.listen(container.lock))
            run_folder.write_state(folder, container.state())
        except OSError as error:
            complain(f"container {container.request.container_id} is ended: {folder}: {error}")
            signal.pidfd_send_signal(container.process.pidfd, signal.SIGKILL)

    def run(self) -> None:
        """Work until the container has ended and every client has read its output."""
        self._loop.run()

    def _greeting(self) -> Started:
        return Started(
            shim=os.getpid(),
            pid=self._container.process.pid,
            started_at=self._container.started_at,
            execs=self._execs.pids(),
        )

    # Requests of the engine.

    def _request(self, request: ShimRequest, descriptors: list[int]) -> None:
        answer: ShimMessage
        try:
            answer = self._serve(request, descriptors) or Done(request=request.request)
        except OCIError as error:
            answer = Refused(request=request.request, kind=_kind(error), message=error.message)
        except NoTerminalError as error:
            answer = Refused(request=request.request, kind="conflict", message=str(error))
        except ProcessLookupError:
            message = "the container has ended"
            answer = Refused(request=request.request, kind="gone", message=message)
        except OSError as error:
            kind: FailureKind = "invalid" if error.errno == errno.EINVAL else "internal"
            answer = Refused(request=request.request, kind=kind, message=str(error))
        self._link.send(answer)

    def _serve(self, request: ShimRequest, descriptors: list[int]) -> ExecStarted | None:
        """Do what is asked; whoever takes a descriptor takes it out of the list."""
        try:
            match request:
                case Attach():
                    self.relay.attach(descriptors.pop(), request.attachment)
                case Exec():
                    pid = self._execs.start(request, descriptors.pop() if descriptors else None)
                    number, name = request.request, request.exec_id
                    return ExecStarted(request=number, exec_id=name, pid=pid)
                case Signal():
                    signal.pidfd_send_signal(self._container.process.pidfd, request.number)
                case Resize(exec_id=""):
                    self._container.streams.resize(request.width, request.height)
                case Resize():
                    self._execs.resize(request.exec_id, request.width, request.height)
                case CloseStdin():
                    self.relay.close_input()
                case Work():
                    self._work(request, descriptors)
        finally:
            wire.close_all(descriptors)
        return None

    def _work(self, request: Work, descriptors: list[int]) -> None:
        pid = inside.fork_worker(request.task, descriptors, self._container.for_workers())
        pidfd = os.pidfd_open(pid)
        self._workers.add(pid)

        def ended(_events: int) -> None:
            self._workers.discard(pid)
            self._loop.forget(pidfd)
            exit_code(pidfd)
            os.close(pidfd)

        self._loop.watch(pidfd, READABLE, ended)

    # What happens to the container.

    def _exec_ended(self, exec_id: str, code: int) -> None:
        self._link.send(ExecExited(exec_id=exec_id, exit_code=code))

    def _exec_detached(self, exec_id: str) -> None:
        self._link.send(Detached(exec_id=exec_id))

    def _out_of_memory(self, _events: int) -> None:
        assert self._oom is not None
        kills = self._oom.kills()
        if kills > self._oom_kills:
            self._oom_kills = kills
            self._link.send(OutOfMemory())

    def _ended(self, _events: int) -> None:
        """The container's first process has ended: tell, record, take everything down."""
        container = self._container
        pidfd = container.process.pidfd
        code = exit_code(pidfd)
        self._loop.forget(pidfd)
        os.close(pidfd)
        finished_at = time.time_ns()
        if not container.has_own_pids:
            descendants.end(container.cgroup, self._execs.pids().values(), self._workers)
        self._execs.finish()
        self.relay.finish()
        record = ExitRecord(
            exit_code=code,
            oom_killed=self._count_oom_kills() > 0,
            started_at=container.started_at,
            finished_at=finished_at,
        )
        self._link.send(Exited(record=record))
        self._link.close_listener()
        ending.write_exit_file(container.request.exit_file, record)
        ending.take_down(container)
        self._link.close()

    def _known_children(self) -> set[int]:
        return {self._container.process.pid, *self._execs.pids().values(), *self._workers}

    def _count_oom_kills(self) -> int:
        """Ask for the last time, before the control group is gone; tell of what was not told."""
        if self._oom is None:
            return 0
        self._loop.forget(self._oom.fileno())
        with contextlib.suppress(OSError):  # somebody else has removed the control group
            self._out_of_memory(0)
        self._oom.close()
        return self._oom_kills


def _watch_memory(cgroup: Cgroup | None) -> OomWatch | None:
    try:
        return cgroup.oom_watch() if cgroup is not None else None
    except OSError as error:
        complain(f"that a container runs out of memory will not be noticed: {error}")
        return None


def _kind(error: OCIError) -> FailureKind:
    if isinstance(error, StartError):
        return "not_found" if error.kind == "not_found" else "not_executable"
    return "invalid" if error.kind in ("invalid", "not_found") else "internal"
