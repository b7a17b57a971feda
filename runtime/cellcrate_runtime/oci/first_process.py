"""The container's first process, from its birth in new namespaces to its program.

This runs in the child of a fork. It has the maker's memory and descriptors, and nobody to return
to: every way out is the program, or ``os._exit``.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import msgspec

from cellcrate_runtime.linux import credentials, interfaces, namespaces, processes, recording
from cellcrate_runtime.oci import consoles, rootfs, sysctls, unveiled, users
from cellcrate_runtime.oci.channel import HOOKED, IDENTITY, ProcessEnd
from cellcrate_runtime.oci.last_steps import finish
from cellcrate_runtime.oci.mounts import Outside
from cellcrate_runtime.oci.plan import MADE_FIRST, MADE_LATE, Plan, read_plan
from cellcrate_runtime.oci.privileges import load_late_filter
from cellcrate_runtime.oci.spec import Hooks

__all__ = ["become", "become_root", "become_what_is_planned", "guarded"]


def guarded(channel: ProcessEnd, live: Callable[[], object]) -> NoReturn:
    """Live this process's life; what goes wrong in it is told to the maker, and ends it."""
    try:
        gc.disable()
        if recording.active is not None:
            recording.active.become_child(recording.FIRST)
        processes.reset_signals()
        live()
    except BaseException as error:
        try:
            channel.say_failed(error)
        finally:
            os._exit(1)
    os._exit(0)


def become(plan: Plan, channel: ProcessEnd) -> None:
    """Build the walls, wait for the start, and become the program."""
    _settle_in(plan.new, channel, keyring=plan.launch.keyring)
    _live(plan, channel)


def become_what_is_planned(
    new: frozenset[str], rehearse: Callable[[], None], channel: ProcessEnd
) -> None:
    """The same for a process that is made in advance, and sent its plan when there is one."""
    # It may wait for long, and what is open in its maker is none of its business.
    processes.close_all_but(channel.fd)
    _settle_in(new, channel)
    rehearse()
    _live(read_plan(*channel.wait_for_plan()), channel)


def _live(plan: Plan, channel: ProcessEnd) -> None:
    outside = _take_place(plan, channel)
    channel.wait_for(IDENTITY)
    _take_identity(plan, channel)
    console = _build_walls(plan, outside, channel)
    at_start = partial(_run_in_container, plan) if plan.state is not None else None
    finish(
        plan.process,
        plan.privileges,
        channel,
        console,
        init=plan.init,
        before_start=at_start,
        launch=plan.launch,
    )


def _settle_in(new: frozenset[str], channel: ProcessEnd, *, keyring: bool = True) -> None:
    """What needs neither an identity nor a plan."""
    channel.doing = "cannot lead a session"
    os.setsid()
    if first := new & MADE_FIRST:
        channel.doing = f"cannot make new namespaces ({', '.join(sorted(first))})"
        namespaces.unshare(namespaces.flags_of(first))
    if "network" in new:
        channel.doing = "cannot bring the loopback interface up"
        interfaces.bring_loopback_up()
    # Still as the host's root, whose quota of keys is not used up by two hundred containers.
    channel.doing = "cannot make a session keyring"
    if keyring:
        processes.join_new_session_keyring()


def _take_place(plan: Plan, channel: ProcessEnd) -> Outside | None:
    """What needs no identity, done while the maker writes the id mappings and the cgroup.

    Returns:
        Places outside the container's root, if it has a mount namespace of its own.
    """
    if plan.spec.hostname:
        channel.doing = f"cannot set the host name {plan.spec.hostname!r}"
        namespaces.set_hostname(plan.spec.hostname)
    if plan.spec.domainname:
        channel.doing = f"cannot set the domain name {plan.spec.domainname!r}"
        namespaces.set_domainname(plan.spec.domainname)
    # Before the change of user, which closes the file that the offsets are written to.
    if "time" in plan.new:
        channel.doing = "cannot make a time namespace with linux.timeOffsets"
        offsets = plan.linux.time_offsets.items()
        namespaces.enter_new_time_namespace({c: (o.secs, o.nanosecs) for c, o in offsets})
    channel.doing = "cannot mount the root file system"
    if not plan.has_own_mounts:
        rootfs.attach_shared_root(plan.root, plan.root_path)
        return None
    namespaces.unshare(namespaces.FLAGS["mount"])
    return rootfs.attach_root(plan.root, plan.linux.rootfs_propagation, plan.root_path)


def _take_identity(plan: Plan, channel: ProcessEnd) -> None:
    """Become root of the user namespace, and enter the namespaces that need the cgroup or root."""
    if plan.has_identity:
        channel.doing = "cannot become root of the user namespace"
        become_root(keep_groups=plan.privileges.groups is None)
    processes.hide_from_others()
    if late := plan.new & MADE_LATE:
        channel.doing = f"cannot make new namespaces ({', '.join(sorted(late))})"
        namespaces.unshare(namespaces.flags_of(late))


def become_root(*, keep_groups: bool = False) -> None:
    """Take the id 0 of this user namespace, and leave what groups of outside are not to be kept."""
    # Where setgroups is denied, the maker's groups are its user's own.
    with contextlib.suppress(PermissionError):
        if not keep_groups:
            credentials.set_groups([])
    credentials.become(0, 0)


def _build_walls(plan: Plan, outside: Outside | None, channel: ProcessEnd) -> int | None:
    """Build the file system and enter it; the master of the terminal, if there is one."""

    def doing(what: str) -> None:
        channel.doing = what

    os.umask(0)
    rootfs.build(
        plan.root,
        plan.linux,
        plan.mounts,
        outside,
        may_make_nodes=plan.may_make_nodes,
        doing=doing,
    )
    if outside is not None:
        outside.close()
    if plan.pauses:
        _pause(plan, channel)
    if plan.privileges.tuning is not None:
        from cellcrate_runtime.oci import tuning

        tuning.set_labels(plan.privileges.tuning)
    channel.doing = "cannot set linux.sysctl"
    sysctls.set_sysctls(plan.linux.sysctl)
    channel.doing = "cannot make the working directory"
    rootfs.make_working_directory(plan.root, plan.process.cwd)
    channel.doing = "cannot open a terminal"
    master = consoles.provide(plan.root, plan.process, plan.stdio, as_console=True)
    channel.doing = "cannot enter the root file system"
    users.complete_environment(plan.root, plan.process)
    rootfs.protect_dev(plan.root, plan.mounts)
    if plan.has_own_mounts and not plan.launch.pivot:
        unveiled.hide_outside(plan.root, makers=plan.makers_mounts)
    read_only = plan.spec.root is not None and plan.spec.root.readonly
    rootfs.enter(
        plan.root,
        read_only=read_only,
        propagation=plan.linux.rootfs_propagation,
        pivot=plan.launch.pivot and plan.has_own_mounts,
    )
    return master


def _pause(plan: Plan, channel: ProcessEnd) -> None:
    """Have the maker move devices here and run its hooks, and then run those of the container."""
    channel.doing = "cannot run the hooks"
    if "pid" in plan.new:
        # Hooks of an ordinary user look at its namespaces, and nobody else can see it yet.
        processes.show_to_others()
    channel.say_built()
    channel.wait_for(HOOKED)
    processes.hide_from_others()
    if plan.state is None:
        return
    from cellcrate_runtime.oci import hooks

    here = msgspec.structs.replace(plan.state, pid=os.getpid())
    wanted = (plan.spec.hooks or Hooks()).create_container
    hooks.run("createContainer", wanted, here, folder=plan.root)


def _run_in_container(plan: Plan) -> None:
    """Run the hooks that are the container's own programs."""
    from cellcrate_runtime.oci import hooks

    if plan.state is not None:
        here = msgspec.structs.replace(plan.state, pid=os.getpid(), status="created")
        wanted = (plan.spec.hooks or Hooks()).start_container
        environment = plan.process.env
        hooks.run(
            "startContainer",
            wanted,
            here,
            folder="/",
            environment=environment,
            confine=partial(load_late_filter, plan.privileges),
        )
