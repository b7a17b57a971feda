"""``exec``: run one more program in a container."""

from __future__ import annotations

import msgspec

from cellcrate_runtime.linux import seccomp
from cellcrate_runtime.oci import container, validate
from cellcrate_runtime.oci import spec as documents
from cellcrate_runtime.oci.command import console_socket
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.bundles import keeps_groups
from cellcrate_runtime.oci.command.descriptors import preserved_by
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.foreground import accompany, stop_accompanying
from cellcrate_runtime.oci.command.later_hooks import state_of
from cellcrate_runtime.oci.command.making import STDIO, note_filter, write_pid_file
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import FILTERS, Folder
from cellcrate_runtime.oci.command.sub_groups import group_to_join
from cellcrate_runtime.oci.container import Launch
from cellcrate_runtime.oci.spec import Capabilities, Linux, Process, Spec, User

__all__ = ["execute"]


def execute(settings: Settings, arguments: Arguments) -> int:
    """Run it: the program's exit status, or 0 of a detached one."""
    launch = Launch(outlives_maker=True, any_cpu=True, preserved=preserved_by(arguments))
    folder = Folder(settings.root, arguments.id)
    record = folder.load()
    status = status_of(folder, record)
    if status == "stopped":
        raise CommandError("cannot exec in a stopped container")
    if status == "paused" and not arguments.has("ignore-paused"):
        raise CommandError("cannot exec in a paused container (use --ignore-paused to override)")
    with open(f"{folder.path}/config.json", "rb") as file:
        spec = documents.decode(file.read())
    if keeps_groups(spec):
        launch = msgspec.structs.replace(launch, keep_groups=True)
    process = _process(arguments, spec)
    for warning in validate.process_warnings(process):
        settings.reporter.warn(warning)
    seccomp.keep_in(f"{settings.root}/{FILTERS}")
    detached = arguments.has("detach")
    socket = arguments.text("console-socket")
    console_socket.check(socket, terminal=process.terminal, leaves=detached)
    made = container.execute(
        record.pid,
        process,
        spec=spec,
        stdio=None if process.terminal else STDIO,
        cgroup=group_to_join(record, arguments.all("cgroup")),
        launch=launch,
        state=state_of(record, "running"),
    )
    note_filter(settings.reporter, spec.linux or Linux())
    settings.reporter.note(f"process: {made.pid}, waiting for its start")
    try:
        if made.console is not None and socket:
            console_socket.send_console(socket, made.console)
        console_socket.send_process(arguments.text("pidfd-socket"), made.pidfd)
        write_pid_file(arguments, made.pid)
        if not detached:
            return accompany(made)
        made.start()
    finally:
        made.abort()  # unless it was started
    stop_accompanying(made)
    return 0


def _process(arguments: Arguments, spec: Spec) -> Process:
    """The program: of the file of ``--process``, or of the command line."""
    if arguments.has("process"):
        with open(arguments.text("process"), "rb") as file:
            try:
                return msgspec.json.decode(file.read(), type=Process)
            except msgspec.DecodeError as error:
                raise CommandError(f"--process: {error}") from error
    args = arguments.words[1:]
    if not args:
        raise UsageError("process args cannot be empty")
    process = spec.process or Process(cwd="/")
    process.args = args
    process.terminal = arguments.has("tty")
    process.cwd = arguments.text("cwd", process.cwd)
    process.env = [*process.env, *arguments.all("env")]
    process.apparmor_profile = arguments.text("apparmor", process.apparmor_profile)
    process.selinux_label = arguments.text("process-label", process.selinux_label)
    if arguments.has("no-new-privs"):
        process.no_new_privileges = True
    if arguments.has("cap"):
        process.capabilities = _with_more(process.capabilities, arguments.all("cap"))
    process.user = _user(arguments, process.user)
    return process


def _with_more(sets: Capabilities | None, names: list[str]) -> Capabilities:
    sets = sets or Capabilities()
    for name in names:
        for held in (sets.bounding, sets.effective, sets.permitted):
            if name not in held:
                held.append(name)
        # The kernel keeps ambient capabilities among the inheritable ones.
        if name in sets.inheritable and name not in sets.ambient:
            sets.ambient.append(name)
    return sets


def _user(arguments: Arguments, user: User) -> User:
    """The user of ``--user`` (``uid[:gid]``) and ``--additional-gids``."""
    uid, _, gid = arguments.text("user", f"{user.uid}:{user.gid}").partition(":")
    try:
        added = [int(each) for each in arguments.all("additional-gids")]
        return User(
            uid=int(uid),
            gid=int(gid or user.gid),
            umask=user.umask,
            additional_gids=[*user.additional_gids, *added],
        )
    except ValueError:
        raise UsageError("--user and --additional-gids: give numbers, as 1000:1000") from None
