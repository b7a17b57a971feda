"""Make a process: by a fork, in new namespaces and its control group, or inside existing ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from cellcrate_runtime.linux import processes, recording
from cellcrate_runtime.oci import joining, limits
from cellcrate_runtime.oci.channel import ProcessEnd, make_pair
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.first_process import guarded
from cellcrate_runtime.oci.spec import Process
from cellcrate_runtime.oci.waiting import InitProcess, reap, undone_on_failure

if TYPE_CHECKING:
    from cellcrate_runtime.oci.tuning import Outside

__all__ = ["CgroupMember", "Life", "fork", "in_new_namespaces", "through_go_between"]

Life = Callable[[ProcessEnd], None]
"""What a process does after its birth; it ends in a program, or raises."""


class CgroupMember(Protocol):
    """What is needed of a control group; see :class:`cellcrate_runtime.linux.cgroups.Cgroup`."""

    def add(self, pid: int, *, cloned_into: bool = False) -> None:
        """Move a process into the group."""

    def fd(self) -> int | None:
        """Open the group's folder in the v2 tree, if there is one."""


def in_new_namespaces(flags: int, live: Life, cgroup: CgroupMember | None) -> InitProcess:
    """A process in new namespaces and in its control group.

    Raises:
        OCIError: The kernel refuses the namespaces.
        CgroupError: The control group does not take it; it is gone again.
    """
    folder = cgroup.fd() if cgroup is not None else None
    try:
        made = fork(flags, live, folder)
    finally:
        if folder is not None:
            os.close(folder)
    if cgroup is not None:
        with undone_on_failure(made):
            cgroup.add(made.pid, cloned_into=folder is not None)
    return made


def through_go_between(
    joins: joining.Joins,
    flags: int,
    live: Life,
    process: Process,
    cgroup: CgroupMember | None,
    outside: Outside | None = None,
) -> InitProcess:
    """A process in namespaces that exist, and new ones; in its control group from the beginning.

    ``outside`` is what is to be done to it before it joins anything, if there is something.

    Raises:
        OCIError: A namespace cannot be joined or made, or the control group does not take it.
    """

    def before() -> None:
        if outside is not None:
            outside.before_cgroup()
        if cgroup is not None:
            cgroup.add(os.getpid())
        if outside is not None:
            outside.after_cgroup()
        limits.set_oom_score_adj(os.getpid(), process)

    def go_between(channel: ProcessEnd) -> None:
        joining.go_between(channel, joins, flags, before=before, live=partial(live, channel))

    between = fork(0, go_between)
    maker = between.maker
    try:
        pid = maker.hear_child()
    except BaseException:
        between.abort()
        raise
    os.close(between.pidfd)
    reap(between.pid)
    return InitProcess(pid, os.pidfd_open(pid), maker)


def fork(flags: int, live: Life, cgroup_folder: int | None = None) -> InitProcess:
    """Clone this process; the child lives ``live``, with all signals blocked, and never returns."""
    maker, end = make_pair()
    mask = processes.block_signals(processes.ALL_SIGNALS)
    made = None
    if recording.active is not None:  # the child will note sooner than this process goes on
        made = recording.active.prepare("clone3", flags=flags)
    try:
        pid, pidfd = processes.clone(flags, cgroup_fd=cgroup_folder)
        if not pid:
            guarded(end, partial(live, end))
    except OSError as error:
        maker.close()
        raise OCIError.from_os_error(error, "cannot make the container's namespaces") from error
    finally:
        processes.block_signals(mask)
        os.close(end.fd)
    if made is not None:
        made()
    return InitProcess(pid, pidfd, maker)
