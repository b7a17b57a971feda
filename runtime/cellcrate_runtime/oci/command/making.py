"""Make a container of a bundle: for ``create``, which leaves it waiting, and for ``run``."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from contextlib import ExitStack

import msgspec

from cellcrate_runtime.linux import seccomp, unix_sockets
from cellcrate_runtime.linux.cgroups import Cgroup
from cellcrate_runtime.oci import container, shared_mounts, validate
from cellcrate_runtime.oci.command import console_socket, ordinary_user
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.bundles import Bundle, keeps_groups
from cellcrate_runtime.oci.command.descriptors import preserved_by, tell_of_sockets
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.groups import make_group
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.reporting import Reporter
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import read_start_time
from cellcrate_runtime.oci.command.store import FILTERS, Folder
from cellcrate_runtime.oci.container import InitProcess, Launch, Stdio
from cellcrate_runtime.oci.spec import Linux, Spec
from cellcrate_runtime.oci.state import State

__all__ = ["Made", "make_container", "note_filter", "write_pid_file"]

STDIO = Stdio(0, 1, 2)


class Made:
    """A container whose program waits for its start."""

    __slots__ = ("bundle", "folder", "process", "record")

    def __init__(
        self, folder: Folder, bundle: Bundle, record: Record, process: InitProcess
    ) -> None:
        self.folder = folder
        self.bundle = bundle
        self.record = record
        self.process = process


def make_container(settings: Settings, arguments: Arguments, *, leaves: bool, waits: bool) -> Made:
    """Make a container as the command line says.

    Args:
        settings: Where, and how.
        arguments: Of ``create`` or ``run``.
        leaves: This program ends before the container's does.
        waits: The container waits for another program to start it.

    Raises:
        CommandError, OCIError, CgroupError, OSError: It could not be; nothing of it remains.
    """
    launch = Launch(
        outlives_maker=True,
        any_cpu=True,
        preserved=preserved_by(arguments),
        keyring=not arguments.has("no-new-keyring"),
        pivot=not arguments.has("no-pivot"),
    )
    bundle = Bundle(arguments.text("bundle", "."), arguments.text("config", "config.json"))
    validate.validate(bundle.spec)
    if keeps_groups(bundle.spec):
        launch = msgspec.structs.replace(launch, keep_groups=True)
    if bundle.spec.process is None and not waits:
        raise CommandError("config.json: process: there is no program to run")
    for warning in validate.warnings(bundle.spec):
        settings.reporter.warn(warning)
    seccomp.keep_in(f"{settings.root}/{FILTERS}")
    terminal = False
    if (program := bundle.spec.process) is not None:
        terminal = program.terminal
        program.env = tell_of_sockets(program.env)
    console_socket.check(arguments.text("console-socket"), terminal=terminal, leaves=leaves)
    folder = Folder.make(settings.root, arguments.id)
    with ExitStack() as undone:
        undone.callback(folder.remove)
        ordinary_user.become_root_of_own(bundle.spec)
        group = make_group(settings, bundle.spec, folder.id)
        if group is not None:
            undone.callback(_remove, group)
        listener = _listen(folder) if waits else None
        if listener is not None:
            undone.callback(listener.close)
            launch = msgspec.structs.replace(launch, listener=listener.fileno())
        process = container.create(
            bundle.spec,
            rootfs=bundle.rootfs,
            stdio=None if terminal else STDIO,
            cgroup=group,
            is_valid=True,
            launch=launch,
            state=_state(folder, bundle),
        )
        if process.shared_root is not None:
            undone.callback(shared_mounts.take_away, process.shared_root)
        undone.callback(process.abort)
        if process.console is not None and arguments.has("console-socket"):
            console_socket.send_console(arguments.text("console-socket"), process.console)
        if group is not None:
            group.find_by(process.pid)
        console_socket.send_process(arguments.text("pidfd-socket"), process.pidfd)
        _note_what_was_made(settings.reporter, bundle, process, group)
        record = _record(folder, bundle, process, group)
        with open(f"{folder.path}/config.json", "wb") as file:
            file.write(bundle.document)
        write_pid_file(arguments, process.pid)
        folder.save(record)
        undone.pop_all()
        if listener is not None:
            listener.close()
        return Made(folder, bundle, record, process)


def _note_what_was_made(
    reporter: Reporter, bundle: Bundle, process: InitProcess, group: Cgroup | None
) -> None:
    """Tell who looks for an error what the container consists of."""
    if not reporter.debug:
        return
    reporter.note(f"root file system: {bundle.rootfs}")
    reporter.note(f"control group: {group.path if group is not None else 'none'}")
    note_filter(reporter, bundle.spec.linux or Linux())
    reporter.note(f"first process: {process.pid}, waiting for its start")


def note_filter(reporter: Reporter, linux: Linux) -> None:
    """Tell with which flags of seccomp(2) the filter is loaded, if there is one."""
    if reporter.debug and linux.seccomp is not None:
        reporter.note(f"seccomp filter flags: {seccomp.flags(linux.seccomp)}")


def _listen(folder: Folder) -> socket.socket:
    """The socket on which the process will wait."""
    with unix_sockets.address(folder.start_socket) as address:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(address)
            listener.listen(1)
        except BaseException:
            listener.close()
            raise
    return listener


def _remove(group: Cgroup) -> None:
    with contextlib.suppress(Exception):  # what went wrong before is what is told
        group.kill()
        group.delete()


def _record(folder: Folder, bundle: Bundle, process: InitProcess, group: Cgroup | None) -> Record:
    hooks = bundle.spec.hooks
    shared = process.shared_root
    return Record(
        described=_described(folder, bundle),
        pid=process.pid,
        start_time=read_start_time(process.pid),
        cgroup=group.path if group is not None else "",
        directories=group.directories if group is not None else {},
        unit=group.unit if group is not None else "",
        own_processes=_has_own_processes(bundle.spec),
        shared_root=(shared.path, shared.mount, shared.namespace) if shared else None,
        has_hooks=hooks is not None and bool(hooks.poststart or hooks.poststop),
    )


def _described(folder: Folder, bundle: Bundle) -> str:
    """What ``state`` tells that never changes."""
    described: dict[str, object] = {
        "ociVersion": bundle.spec.oci_version,
        "id": folder.id,
        "bundle": bundle.path,
        "rootfs": bundle.rootfs,
        "created": _now(),
        "owner": "",
    }
    if bundle.spec.annotations:
        described["annotations"] = bundle.spec.annotations
    return json.dumps(described, indent=2)


def _now() -> str:
    """Now, in RFC 3339, to the microsecond."""
    now = time.time_ns() // 1000
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000))
    return f"{seconds}.{now % 1_000_000:06d}Z"


def _state(folder: Folder, bundle: Bundle) -> State:
    """What hooks are told, and the agent of a seccomp filter."""
    return State(
        oci_version=bundle.spec.oci_version,
        id=folder.id,
        status="creating",
        bundle=bundle.path,
        annotations=bundle.spec.annotations,
    )


def _has_own_processes(spec: Spec) -> bool:
    linux = spec.linux or Linux()
    return any(n.type == "pid" and not n.path for n in linux.namespaces)


def write_pid_file(arguments: Arguments, pid: int) -> None:
    """Write the process id to the file of ``--pid-file``, whole, if there is one."""
    path = arguments.text("pid-file")
    if not path:
        return
    folder, name = os.path.split(os.path.abspath(path))
    temporary = f"{folder}/.{name}.new"
    with open(temporary, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(temporary, path)
