"""A first process made in advance, so that a start need not wait for its birth.

A large part of a start is a fork and the making of a network namespace, which are the same for
every container. A maker that expects a request can have a process born into its namespaces, and
send it the plan of a container when there is one.
"""

from __future__ import annotations

from functools import partial

import msgspec

from cellcrate_runtime.linux import namespaces, process_title
from cellcrate_runtime.oci import first_process
from cellcrate_runtime.oci.identity import write_mappings
from cellcrate_runtime.oci.making import CgroupMember, in_new_namespaces
from cellcrate_runtime.oci.plan import BORN_INTO, MADE_FIRST, Plan, write_plan
from cellcrate_runtime.oci.rehearsal import rehearse_first_process
from cellcrate_runtime.oci.spec import IDMapping, Spec
from cellcrate_runtime.oci.waiting import InitProcess, undone_on_failure

__all__ = ["Spare", "make_spare"]

_MOST_DESCRIPTORS = 250  # beside one message; the kernel's SCM_MAX_FD is 253
_LONGEST_PLAN = 128 * 1024  # bytes; a socket's buffer has 208 KiB


class Spare(msgspec.Struct):
    """A process that waits to be told what container it is.

    Attributes:
        process: It; :meth:`InitProcess.abort` gives it up.
        new: The types of namespaces that it was born into.
        mappings: The ids of its user namespace, if it has one; of users and of groups alike.
        cgroup: The control group that it is in, if it was put into one.
    """

    process: InitProcess
    new: frozenset[str]
    mappings: list[IDMapping]
    cgroup: CgroupMember | None = None

    def become(self, plan: Plan) -> bool:
        """Tell it what it is; False if it cannot be that, and nothing was told."""
        if not self._fits(plan):
            return False
        message, descriptors = write_plan(plan)
        if len(message) > _LONGEST_PLAN or len(descriptors) > _MOST_DESCRIPTORS:
            return False
        self.process.maker.send_plan(message, descriptors)
        return True

    def _fits(self, plan: Plan) -> bool:
        if plan.pauses or plan.privileges.tuning is not None:
            return False  # these are rare, and their modules were not loaded in advance
        if plan.new & (BORN_INTO | MADE_FIRST) != self.new:
            return False
        if any(namespace.path for namespace in plan.linux.namespaces):
            return False
        return plan.linux.uid_mappings == plan.linux.gid_mappings == self.mappings


def make_spare(
    mappings: list[IDMapping], example: Spec, cgroup: CgroupMember | None = None
) -> Spare:
    """Make a process for the usual container: with its own processes, network and names.

    It dies with its maker, which must have a single thread.

    Args:
        mappings: The ids of its user namespace; without any it has none of its own.
        example: A configuration to rehearse with, by itself, while it waits.
        cgroup: The control group that it waits in; probably the container's.

    Raises:
        OCIError: The kernel refuses the namespaces.
        CgroupError: The control group does not take it.
    """
    new = frozenset({"pid", *MADE_FIRST, *(["user"] if mappings else [])})
    process_title.title_area()  # which it may need, and could not find out by itself
    rehearse = partial(rehearse_first_process, example)
    live = partial(first_process.become_what_is_planned, new, rehearse)
    process = in_new_namespaces(namespaces.flags_of(new & BORN_INTO), live, cgroup)
    with undone_on_failure(process):
        if mappings:
            write_mappings(process.pid, mappings, mappings)
    return Spare(process, new, mappings, cgroup)
