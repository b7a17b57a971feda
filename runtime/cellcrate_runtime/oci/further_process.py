"""One more process in a running container (``docker exec``)."""

from __future__ import annotations

import os

import msgspec

from cellcrate_runtime.linux import processes
from cellcrate_runtime.oci import consoles, users
from cellcrate_runtime.oci.channel import ProcessEnd
from cellcrate_runtime.oci.consoles import Stdio
from cellcrate_runtime.oci.first_process import become_root
from cellcrate_runtime.oci.last_steps import finish
from cellcrate_runtime.oci.launch import IN_PROCESS, Launch
from cellcrate_runtime.oci.privileges import Privileges
from cellcrate_runtime.oci.spec import Process

__all__ = ["FurtherPlan", "become"]


class FurtherPlan(msgspec.Struct, frozen=True):
    """What the process needs to know, all of it worked out before the fork.

    Attributes:
        root: The container's root, where that is not the root of its mount namespace.
    """

    process: Process
    privileges: Privileges
    has_identity: bool
    stdio: Stdio | None
    launch: Launch = IN_PROCESS
    root: int | None = None


def become(plan: FurtherPlan, channel: ProcessEnd) -> None:
    """Live on inside the container's namespaces: wait for the start and become the program."""
    channel.doing = "cannot lead a session"
    os.setsid()
    channel.doing = "cannot make a session keyring"
    if plan.launch.keyring:
        processes.join_new_session_keyring()
    if plan.has_identity:
        channel.doing = "cannot become root of the user namespace"
        become_root(keep_groups=plan.privileges.groups is None)
        processes.hide_from_others()
    if plan.root is not None:
        channel.doing = "cannot enter the root file system"
        os.fchdir(plan.root)
        os.chroot(".")
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    channel.doing = "cannot open a terminal"
    console = consoles.provide(root, plan.process, plan.stdio)
    channel.doing = "cannot read the container's users"
    users.complete_environment(root, plan.process)
    finish(plan.process, plan.privileges, channel, console, launch=plan.launch)
