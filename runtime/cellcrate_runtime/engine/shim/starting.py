"""From a request to a running program, step by step; a step that fails takes the others back."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.protocol import FailureKind, Launch
from cellcrate_runtime.engine.shim import descendants, run_folder
from cellcrate_runtime.engine.shim.json_log import JsonLog
from cellcrate_runtime.engine.shim.process import Process
from cellcrate_runtime.engine.shim.ready import Ready
from cellcrate_runtime.engine.shim.streams import ProgramStreams, close_stdio
from cellcrate_runtime.engine.workers.running import Running
from cellcrate_runtime.linux import mounts
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, Resources
from cellcrate_runtime.oci import container, spec, users
from cellcrate_runtime.oci.errors import OCIError, StartError
from cellcrate_runtime.oci.identity import id_ranges

if TYPE_CHECKING:
    from cellcrate_runtime.engine.shim.foreign.driver import Foreign

__all__ = ["Container", "StartFailure", "start"]


# A FailureKind "not_found" is about the program alone, not about a volume's source or a user.
_KINDS: dict[str, FailureKind] = {
    "invalid": "invalid",
    "not_found": "invalid",
    "permission": "permission",
}


class StartFailure(Exception):
    """A container could not be started; nothing of the attempt is left."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.message = message


@dataclass
class Container:
    """A running container, and what has to be taken down when it has ended."""

    request: Launch
    spec: spec.Spec
    lock: int  # of the run folder
    cgroup: Cgroup | None
    foreign: Foreign | None  # the other runtime that made it; None: the embedded one
    process: Process
    streams: ProgramStreams
    log: JsonLog | None
    started_at: int

    def state(self) -> run_folder.ShimState:
        """What others may know of it."""
        return run_folder.ShimState(
            container_id=self.request.container_id,
            shim=os.getpid(),
            pid=self.process.pid,
            started_at=self.started_at,
            cgroup=self.cgroup.path if self.cgroup is not None else "",
            runtime=self.request.runtime,
        )

    def for_workers(self) -> Running:
        """What is needed to work on its files."""
        init = self.process
        return Running(init.pid, init.pidfd, self.request.bundle, self.request.rootfs)

    @property
    def has_own_pids(self) -> bool:
        """Whether the kernel ends all of its processes with its first one."""
        return has_own(self.spec, "pid")


def start(
    request: Launch, first: container.Spare | None = None, ready: Ready | None = None
) -> Container:
    """Start what is asked for and return when its program has been executed.

    Args:
        request: What to start.
        first: A first process made in advance; used if it fits, and else given up.
        ready: The container's control group, if it was made in advance.

    Raises:
        StartFailure: A step failed; the steps before it have been taken back.
    """
    if request.trace_file:
        from cellcrate_runtime.engine.shim import tracing

        # What was made in advance could not be seen being made.
        if first is not None:
            first.process.abort()
        if ready is not None:
            ready.discard()
        return tracing.traced(request, lambda: _start(request, None, None))
    return _start(request, first, ready)


def _start(request: Launch, first: container.Spare | None, ready: Ready | None) -> Container:
    at = _Step("beginning", "internal")
    with ExitStack() as undo:
        if ready is not None:
            undo.callback(ready.discard)
        if first is not None:
            undo.callback(first.process.abort)
        try:
            started = _take_steps(request, first, ready, at, undo)
        except (OCIError, spec.InvalidSpecError, CgroupError, OSError) as error:
            raise _failure(error, at) from error
        undo.pop_all()
        return started


@dataclass
class _Step:
    """What is being done, and what sort of failure it is when the kernel refuses."""

    doing: str
    kind: FailureKind

    def now(self, doing: str, kind: FailureKind) -> None:
        self.doing, self.kind = doing, kind


def _take_steps(
    request: Launch,
    first: container.Spare | None,
    ready: Ready | None,
    at: _Step,
    undo: ExitStack,
) -> Container:
    at.now("making the run folder", "internal")
    lock = _make_run_folder(request.run_dir, ready)
    undo.callback(_leave_run_folder, request.run_dir, lock)
    remove_if_there(request.exit_file)
    at.now("reading config.json", "invalid")
    config = _read_config(request.bundle)
    at.now("opening the log", "internal")
    log = JsonLog(request.log) if request.log.path else None
    if log is not None:
        undo.callback(log.close)
    at.now("mounting the root file system", "mount")
    rootfs, owners = _mount_root(request, config, undo)
    at.now("looking up the user", "invalid")
    _become_user(request, config, rootfs)
    at.now("making the control group", "resources")
    if request.runtime and first is not None:
        first.process.abort()  # it waits in the control group
    cgroup = _make_cgroup(config, ready, undo)
    at.now("making the container", "internal")
    foreign = _foreign(request, cgroup, undo)

    def make(stdio: container.Stdio | None) -> Process:
        if foreign is not None:
            return foreign.create(config, rootfs, owners, stdio)
        return container.create(
            config,
            rootfs=rootfs,
            stdio=stdio,
            cgroup=cgroup,
            init=request.init,
            userns_fd=owners,
            spare=first,
        )

    process, streams = _create(request, make, undo)
    at.now("starting the program", "internal")
    if not has_own(config, "pid"):
        # Before it can leave orphans: later ones would be somebody else's, and outlive it.
        descendants.become_subreaper()
    process.start()
    return Container(request, config, lock, cgroup, foreign, process, streams, log, time.time_ns())


def _failure(error: Exception, at: _Step) -> StartFailure:
    match error:
        case StartError(kind="not_found"):
            return StartFailure("not_found", error.message)
        case StartError():
            return StartFailure("not_executable", error.message)
        case OCIError():
            return StartFailure(_KINDS.get(error.kind, at.kind), error.message)
        case spec.InvalidSpecError():
            return StartFailure("invalid", str(error))
        case CgroupError():
            return StartFailure("resources", str(error))
    return StartFailure(at.kind, f"{at.doing}: {error}{_hint(error)}")


def _hint(error: Exception) -> str:
    """What to do when the kernel, or a sandbox around this process, says no."""
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.ENOSYS):
        return ". Run `cellcrate doctor` to see what this machine allows"
    return ""


def has_own(config: spec.Spec, namespace: str) -> bool:
    """Whether a configuration asks for a new namespace of a kind."""
    wanted = config.linux.namespaces if config.linux is not None else []
    return any(one.type == namespace and not one.path for one in wanted)


def terminal_of(process: Process, *, stdin: bool) -> ProgramStreams:
    """Take a process's terminal over: from now on it is closed with the streams."""
    console, process.console = process.console, None
    assert console is not None
    return ProgramStreams.terminal(console, stdin=stdin)


def remove_if_there(path: str) -> None:
    """Remove a file; that there is none is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _make_run_folder(folder: str, ready: Ready | None) -> int:
    return ready.become_run_folder(folder) if ready is not None else run_folder.acquire(folder)


def _leave_run_folder(folder: str, lock: int) -> None:
    run_folder.remove(folder)
    os.close(lock)


def _read_config(bundle: str) -> spec.Spec:
    file = os.open(f"{bundle}/config.json", os.O_RDONLY | os.O_CLOEXEC)
    try:
        config = spec.decode(os.read(file, os.fstat(file).st_size))
    finally:
        os.close(file)
    if config.process is None:
        raise spec.InvalidSpecError("config.json has no process to run")
    return config


def _mount_root(request: Launch, config: spec.Spec, undo: ExitStack) -> tuple[str, int | None]:
    """Mount the layers where only this shim sees them.

    Returns the root folder, and a user namespace like the container's to translate owners with.
    """
    root_file_system.hide_mounts_from_host()
    layers = request.rootfs
    if layers is None:
        root = config.root.path if config.root is not None else "rootfs"
        return os.path.join(request.bundle, root), None
    owners = _owners(config) if layers.idmap or layers.shift is not None else None
    root_file_system.mount_layers(layers, owners)
    undo.callback(mounts.unmount, layers.mount_point, mounts.MNT_DETACH)
    return layers.mount_point, owners


def _owners(config: spec.Spec) -> int:
    linux = config.linux
    if linux is None or not linux.uid_mappings or not linux.gid_mappings:
        raise spec.InvalidSpecError("mapped layers need linux.uidMappings and linux.gidMappings")
    return root_file_system.user_namespace(
        tuple(id_ranges(linux.uid_mappings)), tuple(id_ranges(linux.gid_mappings))
    )


def _become_user(request: Launch, config: spec.Spec, rootfs: str) -> None:
    """Put the user that was asked for by name into the configuration."""
    assert config.process is not None
    set_user(config.process, rootfs, request.user, request.groups)


def set_user(process: spec.Process, rootfs: int | str, name: str, groups: list[str]) -> None:
    """Give a process the user and the groups that go with a name, and no rights of root's.

    Raises:
        UserNotFoundError: The container's files know no such user or group.
    """
    if name or groups:
        user = users.resolve_user(rootfs, name, groups)
        user.umask = process.user.umask
        process.user = user
    if process.user.uid and process.capabilities is not None:
        # As Docker does. The program of such a user has none of them anyway; but what a process has
        # when it executes one, no_new_privs lets that program's file capabilities give back.
        process.capabilities = msgspec.structs.replace(
            process.capabilities, effective=[], permitted=[]
        )


def _make_cgroup(config: spec.Spec, ready: Ready | None, undo: ExitStack) -> Cgroup | None:
    linux = config.linux
    if linux is None or not linux.cgroups_path:
        return None
    if ready is not None and linux.cgroups_path == ready.cgroup.path:
        ready.cgroup.apply(linux.resources or Resources())
        return ready.cgroup
    cgroup = Cgroup.create(linux.cgroups_path, linux.resources)
    undo.callback(cgroup.delete)
    return cgroup


def _foreign(request: Launch, cgroup: Cgroup | None, undo: ExitStack) -> Foreign | None:
    """What drives the runtime that was asked for, where that is not the embedded one."""
    if not request.runtime:
        return None
    if cgroup is None:  # nothing else would find the container when this shim is killed
        raise spec.InvalidSpecError("another runtime needs a control group for its container")
    from cellcrate_runtime.engine.shim.foreign.driver import Foreign

    foreign = Foreign(request, cgroup)
    undo.callback(foreign.delete)
    return foreign


def _create(
    request: Launch, make: Callable[[container.Stdio | None], Process], undo: ExitStack
) -> tuple[Process, ProgramStreams]:
    """Have the first process made, with the program's ends of its streams; return ours too."""
    stdio = streams = None
    if not request.tty:
        streams, stdio = ProgramStreams.pipes(stdin=request.open_stdin, stdout=True, stderr=True)
        undo.callback(streams.close)
    try:
        process = make(stdio)
    finally:
        if stdio is not None:
            close_stdio(stdio)
    undo.callback(process.abort)
    if streams is None:
        streams = terminal_of(process, stdin=request.open_stdin)
        undo.callback(streams.close)
    return process, streams
