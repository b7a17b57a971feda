"""From a configuration to the first process of a container, and to further processes in it.

Life of a container's first process: :func:`create` leaves it waiting just before ``execve``, with
all walls up, so that its network can be attached and its watchers can be ready;
:meth:`InitProcess.start` lets it go. Source: OCI runtime-spec 1.2, runtime.md, "Lifecycle".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.linux import process_title
from cellcrate_runtime.oci import (
    first_process,
    further_process,
    joining,
    limits,
    shared_mounts,
    validate,
)
from cellcrate_runtime.oci.blueprint import plan_first, plan_further
from cellcrate_runtime.oci.channel import HOOKED, IDENTITY
from cellcrate_runtime.oci.consoles import Stdio, give_to
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.identity import outside_id, write_mappings
from cellcrate_runtime.oci.launch import IN_PROCESS, Launch
from cellcrate_runtime.oci.making import CgroupMember, in_new_namespaces, through_go_between
from cellcrate_runtime.oci.plan import Plan
from cellcrate_runtime.oci.spare import Spare, make_spare
from cellcrate_runtime.oci.spec import Linux, Process, Spec
from cellcrate_runtime.oci.waiting import InitProcess, undone_on_failure

if TYPE_CHECKING:
    from cellcrate_runtime.linux.seccomp import Seccomp
    from cellcrate_runtime.oci.privileges import Privileges
    from cellcrate_runtime.oci.state import State, Status
    from cellcrate_runtime.oci.tuning import Outside

__all__ = [
    "CgroupMember",
    "ExecProcess",
    "InitProcess",
    "Launch",
    "Spare",
    "Stdio",
    "create",
    "execute",
    "make_spare",
]

ExecProcess = InitProcess


def create(
    spec: Spec,
    *,
    rootfs: str,
    stdio: Stdio | None,
    cgroup: CgroupMember | None,
    init: bool = False,
    userns_fd: int | None = None,
    is_valid: bool = False,
    spare: Spare | None = None,
    state: State | None = None,
    launch: Launch = IN_PROCESS,
) -> InitProcess:
    """Make a container's first process, walls complete, waiting just before its program.

    The caller must be single-threaded, and should be in a mount namespace of its own.

    Args:
        spec: The configuration.
        rootfs: The folder that becomes ``/``, already mounted; ``spec.root.path`` is not looked at.
        stdio: Descriptors for the program. Not used with ``process.terminal``: the program gets a
            terminal of the container's own devpts, whose master is ``InitProcess.console``.
            Without either it gets /dev/null.
        cgroup: Joined before the cgroup namespace is made, to become that namespace's root.
        init: Keep a small process as PID 1 that reaps orphans, forwards signals, and passes the
            program's exit status on.
        userns_fd: A user namespace with the container's id mappings, for mounts with the option
            ``idmap``; where it is None one is made for them.
        is_valid: ``spec`` has passed :func:`cellcrate_runtime.oci.validate.validate` already.
        spare: A process made in advance, which becomes this one if it fits, and else is given up.
        state: What the configuration's hooks are told; its pid and status are filled in. Needed
            where there are prestart, createRuntime, createContainer or startContainer hooks, or a
            seccomp filter that notifies. The other hooks are the caller's to run, with
            :mod:`cellcrate_runtime.oci.hooks`.
        launch: Who may start it, and what it keeps of its maker's; not for a spare.

    Raises:
        OCIError: Something failed, said with its reason; no process, mount or descriptor remains.
        CgroupError: The process could not be put into ``cgroup``; nothing remains.
    """
    with _given_up_on_failure(spare), ExitStack() as held:
        if not is_valid:
            validate.validate(spec)
        if init:
            process_title.title_area()  # while there is a /proc to read it from
        told = _told_to_hooks(spec, state)
        plan = plan_first(spec, rootfs, stdio, init, userns_fd, held, told, launch)
        answering = _agent_of(plan.privileges, plan.linux, state)
        _give_stdio(plan.process, plan.linux, stdio)
        shared_root = shared_mounts.of(plan)
        held.enter_context(shared_mounts.taken_away_on_failure(shared_root))
        made = _taken(spare, plan, cgroup) or _born(plan, cgroup, held)
        made.shared_root = shared_root
        with undone_on_failure(made) as maker:
            maker.tell(IDENTITY)
            if plan.pauses:
                _act_outside(plan, made)
            if answering is not None:
                _hand_listener_over(made, answering, made.pid, "creating")
            made.console = maker.hear_ready()
            _limit(made.pid, plan.process, any_cpu=launch.any_cpu)
        return made


def _told_to_hooks(spec: Spec, state: State | None) -> State | None:
    """What hooks are told, if there are any to run before the program."""
    if spec.hooks is None:
        return None
    from cellcrate_runtime.oci import hooks

    if not hooks.run_before_program(spec.hooks):
        return None
    if state is None:
        raise OCIError("hooks: there is no container's state to tell them", "invalid")
    # Of the steps of the lifecycle, "creating" is only the one before the hooks.
    return msgspec.structs.replace(state, status="created")


def _act_outside(plan: Plan, made: InitProcess) -> None:
    """Move network devices and run the hooks that see the walls from outside."""
    made.maker.hear_built()
    if plan.linux.net_devices:
        from cellcrate_runtime.oci import net_devices

        net_devices.move(plan.linux.net_devices, made.pid)
    if plan.state is not None and plan.spec.hooks is not None:
        from cellcrate_runtime.oci import hooks

        here = msgspec.structs.replace(plan.state, pid=made.pid)
        hooks.run("prestart", plan.spec.hooks.prestart, here)
        hooks.run("createRuntime", plan.spec.hooks.create_runtime, here)
    made.maker.tell(HOOKED)


def _agent_of(
    rights: Privileges, linux: Linux, state: State | None
) -> tuple[Seccomp, State] | None:
    """The profile that names who answers for system calls, and what he is told, if there is one."""
    if linux.seccomp is None or not rights.has_listener:
        return None
    if state is None:
        raise OCIError("linux.seccomp: there is no container's state to tell the agent", "invalid")
    return linux.seccomp, state


def _hand_listener_over(
    made: InitProcess, agent: tuple[Seccomp, State], first: int, status: Status
) -> None:
    """Send the descriptor of a process's seccomp filter to who answers for it."""
    from cellcrate_runtime.oci import seccomp_agent

    profile, state = agent
    listener = made.maker.hear_listener()
    try:
        here = msgspec.structs.replace(state, pid=first, status=status)
        seccomp_agent.hand_over(listener, profile, made.pid, here)
    finally:
        os.close(listener)


def _taken(spare: Spare | None, plan: Plan, cgroup: CgroupMember | None) -> InitProcess | None:
    """The spare, if there is one that can become what is planned."""
    if spare is None:
        return None
    if (spare.cgroup is not None and cgroup is None) or not spare.become(plan):
        spare.process.abort()
        return None
    if cgroup is not None and cgroup is not spare.cgroup:
        cgroup.add(spare.process.pid)
    limits.set_oom_score_adj(spare.process.pid, plan.process)
    return spare.process


@contextmanager
def _given_up_on_failure(spare: Spare | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if spare is not None:
            spare.process.abort()
        raise


def _born(plan: Plan, cgroup: CgroupMember | None, held: ExitStack) -> InitProcess:
    """A new process."""
    live = partial(first_process.become, plan)
    joins = joining.of_paths(plan.linux.namespaces)
    held.callback(joins.close)
    if joins.entries:
        made = through_go_between(joins, plan.clone_flags, live, plan.process, cgroup)
    else:
        made = in_new_namespaces(plan.clone_flags, live, cgroup)
    with undone_on_failure(made):
        if not joins.entries:
            limits.set_oom_score_adj(made.pid, plan.process)
        if "user" in plan.new:
            write_mappings(made.pid, plan.linux.uid_mappings, plan.linux.gid_mappings)
    return made


def execute(
    init_pid: int,
    process: Process,
    *,
    spec: Spec,
    stdio: Stdio | None,
    cgroup: CgroupMember | None,
    state: State | None = None,
    launch: Launch = IN_PROCESS,
) -> ExecProcess:
    """Make one more process in a running container, waiting just before it executes its program.

    Args:
        init_pid: The container's first process, as the caller sees it.
        process: The program; its user is numbers, as ``resolve_user`` gives them.
        spec: The container's configuration: its namespaces and seccomp filter.
        stdio: As for :func:`create`.
        cgroup: The container's control group, joined first.
        state: The container's, which the agent of a seccomp filter that notifies is told.
        launch: What it keeps of its maker's.

    Raises:
        OCIError: Something failed, or the container is gone; no process or descriptor remains.
    """
    validate.validate_process(process)
    linux = spec.linux or Linux()
    with ExitStack() as held:
        plan = plan_further(process, spec, stdio, launch, _root_of(init_pid, linux, held))
        answering = _agent_of(plan.privileges, linux, state)
        _give_stdio(process, linux, stdio)
        joins = joining.of_process(init_pid, [namespace.type for namespace in linux.namespaces])
        try:
            live = partial(further_process.become, plan)
            made = through_go_between(joins, 0, live, process, cgroup, _outside(plan))
        finally:
            joins.close()
    with undone_on_failure(made) as maker:
        if answering is not None:
            _hand_listener_over(made, answering, init_pid, "running")
        made.console = maker.hear_ready()
        free = launch.any_cpu and process.exec_cpu_affinity is None
        _limit(made.pid, process, any_cpu=free)
    return made


def _root_of(init_pid: int, linux: Linux, held: ExitStack) -> int | None:
    """The container's root, where that is not the root of its mount namespace."""
    if any(namespace.type == "mount" and not namespace.path for namespace in linux.namespaces):
        return None
    try:
        root = os.open(f"/proc/{init_pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise OCIError("the container is not running", "not_found") from None
    held.callback(os.close, root)
    return root


def _outside(plan: further_process.FurtherPlan) -> Outside | None:
    """What is to be done to a further process before it joins anything."""
    affinity = plan.process.exec_cpu_affinity
    if affinity is None and plan.privileges.tuning is None:
        return None
    from cellcrate_runtime.oci.tuning import Outside

    return Outside(affinity, plan.privileges.tuning)


def _limit(pid: int, process: Process, *, any_cpu: bool) -> None:
    """Set what somebody outside sets for a process that is about to run."""
    limits.set_rlimits(pid, process)
    if any_cpu:
        limits.allow_all_cpus(pid)
    if process.scheduler is not None:
        from cellcrate_runtime.oci import tuning

        tuning.set_scheduler(pid, process.scheduler)


def _give_stdio(process: Process, linux: Linux, stdio: Stdio | None) -> None:
    uid = outside_id(linux.uid_mappings, process.user.uid)
    if stdio is not None and uid is not None:
        give_to(uid, stdio)
