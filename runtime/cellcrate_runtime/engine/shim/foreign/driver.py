"""A container of another OCI runtime, behind what the shim knows of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.protocol import Launch
from cellcrate_runtime.engine.shim import descendants
from cellcrate_runtime.engine.shim.foreign import bundle, groups
from cellcrate_runtime.engine.shim.foreign.program import Program
from cellcrate_runtime.linux import recording, terminals
from cellcrate_runtime.linux.cgroups import Cgroup, hierarchy
from cellcrate_runtime.linux.cgroups.group import UNIFIED
from cellcrate_runtime.oci import spec
from cellcrate_runtime.oci.consoles import Stdio
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.waiting import kill_and_close

if TYPE_CHECKING:
    from cellcrate_runtime.engine.shim.foreign.watch import Watch

__all__ = ["Foreign", "ForeignProcess", "delete_left"]

_FOLDER = "runtime"  # in the container's run folder; everything here is below it
_STATE = "state"


class ForeignProcess:
    """A process that a runtime program has made and left to the shim; see shim.process.Process."""

    def __init__(self, pid: int, console: int | None, start: Callable[[], None]) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.console = console
        self._start = start
        self._is_waiting = True

    def start(self) -> None:
        """Let it execute its program."""
        try:
            self._start()
        except BaseException:
            self.abort()
            raise
        self._is_waiting = False

    def abort(self) -> None:
        """Kill it before its start, reap it and close what belongs to it. Idempotent."""
        if not self._is_waiting:
            return
        self._is_waiting = False
        kill_and_close(self.pid, self.pidfd, self.console)


class Foreign:
    """One container, made by a runtime program.

    Args:
        request: What to start; its run folder is there.
        cgroup: The container's control group, by which its processes are found again.
    """

    def __init__(self, request: Launch, cgroup: Cgroup) -> None:
        self._request = request
        self._cgroup = cgroup
        self._folder = f"{request.run_dir}/{_FOLDER}"
        is_hybrid = hierarchy().kind == "hybrid"
        self._unified = cgroup.directories.get(UNIFIED) if is_hybrid else None
        self._cgroups_path = groups.path_in_tree(cgroup)
        self._program = _program(self._folder, request.runtime)
        self._watch: Watch | None = None
        if recording.active is not None:
            from cellcrate_runtime.engine.shim.foreign.watch import Watch

            self._watch = Watch(recording.active, self._program.name)

    def create(
        self, config: spec.Spec, rootfs: str, owners: int | None, stdio: Stdio | None
    ) -> ForeignProcess:
        """Make the container; its first process waits before its program.

        Raises:
            OCIError: The bundle cannot be made, or the program refuses it.
        """
        assert config.process is not None
        os.mkdir(self._folder, 0o700)
        os.mkdir(f"{self._folder}/{_STATE}", 0o700)
        place = f"{self._folder}/bundle"
        # The last is for cellcrate-oci, a program that Python runs.
        needed = [self._request.bundle, self._folder, self._request.runtime[0], sys.base_prefix]
        shown = bundle.write(place, config, rootfs, owners, self._cgroups_path, needed)
        # The program leaves the container's first process to its nearest ancestor that asks for it.
        descendants.become_subreaper()
        arguments = ["create", "--bundle", place]
        if self._watch is None:
            return self._make(arguments, config.process, stdio, self._start)
        with self._watch.of_creation(shown):
            made = self._make(arguments, config.process, stdio, self._start)
            self._watch.created(made.pid)
        return made

    def execute(self, process: spec.Process, stdio: Stdio | None) -> ForeignProcess:
        """Run one more program in the container.

        Raises:
            OCIError: It cannot be executed.
        """
        file = f"{self._folder}/process.json"
        with open(file, "wb") as written:
            written.write(msgspec.json.encode(process))
        arguments = ["exec", "--detach", "--process", file]
        return self._make(arguments, process, stdio, lambda: None)

    def delete(self) -> None:
        """Have the program forget the container and what it made for it; it has ended."""
        with contextlib.suppress(OCIError):  # it has forgotten it already
            self._program.call("delete", "--force", self._request.container_id)
        # The empty group itself and what is above it are the shim's and the engine's to remove.
        groups.remove_beside(self._cgroups_path, self._cgroup)
        _remove_tree(self._folder)

    def _start(self) -> None:
        watch, self._watch = self._watch, None
        with watch.of_start() if watch is not None else contextlib.nullcontext():
            self._program.call("start", self._request.container_id)

    def _make(
        self,
        arguments: list[str],
        process: spec.Process,
        stdio: Stdio | None,
        start: Callable[[], None],
    ) -> ForeignProcess:
        pid_file = f"{self._folder}/pid"
        arguments = [*arguments, "--pid-file", pid_file]
        listener = _Console(self._folder) if process.terminal else None
        try:
            if listener is not None:
                arguments += ["--console-socket", listener.path]
            arguments.append(self._request.container_id)
            under = self._watch.command if self._watch is not None else ()
            self._program.call(*arguments, stdio=stdio, unified=self._unified, under=under)
            with open(pid_file, encoding="ascii") as file:
                pid = int(file.read())
            self._keep_in_cgroup(pid)
            console = listener.take(process.console_size) if listener is not None else None
        finally:
            if listener is not None:
                listener.close()
        return ForeignProcess(pid, console, start)

    def _keep_in_cgroup(self, pid: int) -> None:
        """See that a process is where it can be counted, limited and found."""
        try:
            for directory in self._cgroup.directories.values():
                with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                    if str(pid) not in file.read().split():
                        self._cgroup.add(pid)
                        return
        except OSError as error:
            raise OCIError(f"the container's control group is gone: {error}") from error


class _Console:
    """The socket over which a program sends the master of a terminal that it has made."""

    def __init__(self, folder: str) -> None:
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # The folder's own path may be longer than a socket's address.
        self.path = f"/proc/{os.getpid()}/fd/{self._folder}/console"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(self.path)
            self._listener.listen(1)
        except OSError:
            self.close()
            raise

    def take(self, size: spec.ConsoleSize | None) -> int:
        """The terminal that was sent, with the size that was asked for.

        Raises:
            OCIError: None was sent.
        """
        self._listener.setblocking(False)
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(5)
                _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        except OSError as error:
            raise OCIError(f"the runtime sent no terminal: {error}") from error
        if not descriptors:
            raise OCIError("the runtime sent no terminal")
        console = descriptors[0]
        os.set_inheritable(console, False)
        if size is not None:
            terminals.set_size(console, size.height, size.width)
        return console

    def close(self) -> None:
        """Close it, and leave nothing."""
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        os.close(self._folder)


def delete_left(run_dir: str, command: list[str], container_id: str) -> None:
    """Have a program clear away its part of a container whose shim was killed.

    What it cannot, such as without the shim's rights, is left to the caller.
    """
    folder = f"{run_dir}/{_FOLDER}"
    try:
        _program(folder, command).call("delete", "--force", container_id)
    except OCIError as error:
        complain(f"container {container_id}: {error.message}")


def _program(folder: str, command: list[str]) -> Program:
    return Program(command, f"{folder}/{_STATE}", f"{folder}/log")


def _remove_tree(folder: str) -> None:
    """Remove a folder with all that is in it, which may be gone already."""
    for path, below, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(f"{path}/{name}")
        for name in below:
            os.rmdir(f"{path}/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(folder)
