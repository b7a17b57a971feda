"""What a container's first process needs to know, worked out before its birth or sent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.linux import namespaces
from cellcrate_runtime.oci import mount_options
from cellcrate_runtime.oci.consoles import Stdio
from cellcrate_runtime.oci.launch import IN_PROCESS, Launch
from cellcrate_runtime.oci.mounts import PreparedMount
from cellcrate_runtime.oci.privileges import Privileges
from cellcrate_runtime.oci.spec import Linux, Process, Spec

if TYPE_CHECKING:
    from cellcrate_runtime.oci.state import State

__all__ = ["BORN_INTO", "MADE_FIRST", "MADE_LATE", "Plan", "read_plan", "write_plan"]

# A PID and a user namespace are entered by a fork alone, or best so. The new process makes the
# others itself, while its maker writes the id mappings and the cgroup: a network namespace takes as
# long to make as all the rest.
MADE_FIRST = frozenset({"network", "uts"})
# After what the maker does: the root of a cgroup namespace is the group that its maker is in at the
# time, and message queues belong to the user who makes their namespace.
MADE_LATE = frozenset({"cgroup", "ipc"})
BORN_INTO = frozenset({"pid", "user"})


class Plan(msgspec.Struct, frozen=True):
    """What the first process needs to know, all of it worked out before the fork.

    Attributes:
        new: The types of namespaces that are made for the container.
        has_identity: Whether it is in a user namespace of its own, new or joined.
        root: The root file system, as a detached mount.
        init: Whether a small process stays as PID 1.
        state: What hooks are told, where there are any that the first process has to do with.
        root_path: Where the root is on the host; such hooks may look for it there, and it is
            mounted there where the container has no mount namespace of its own.
        makers_mounts: The maker's mount namespace, where the root does not replace the old one.
        launch: How it is made to run; a process that was made before its plan knows only one way.
    """

    spec: Spec
    process: Process
    linux: Linux
    new: frozenset[str]
    has_identity: bool
    may_make_nodes: bool
    root: int
    mounts: list[PreparedMount]
    privileges: Privileges
    stdio: Stdio | None
    init: bool
    state: State | None = None
    root_path: str = ""
    makers_mounts: int = 0
    launch: Launch = IN_PROCESS

    @property
    def has_own_mounts(self) -> bool:
        """Whether what is mounted is mounted for the container alone."""
        return "mount" in self.new

    @property
    def pauses(self) -> bool:
        """Whether the maker has to do something when the walls are built, before all else."""
        return self.state is not None or bool(self.linux.net_devices)

    @property
    def clone_flags(self) -> int:
        """The ``CLONE_NEW…`` flags to be born with."""
        return namespaces.flags_of(self.new & BORN_INTO)


class _Tree(msgspec.Struct, array_like=True):
    """A mount that has a tree: which mount of the configuration, and what it is."""

    mount: int
    is_directory: bool
    has_devices: bool


class _Message(msgspec.Struct, array_like=True):
    """A plan, but for its descriptors: the root, then the trees, then the program's streams."""

    spec: Spec
    new: list[str]
    has_identity: bool
    may_make_nodes: bool
    init: bool
    privileges: Privileges
    trees: list[_Tree]
    has_stdio: bool


_decoder = msgspec.msgpack.Decoder(_Message)


def write_plan(plan: Plan) -> tuple[bytes, list[int]]:
    """A plan as a message for a process that was born before it, and descriptors to go with it."""
    with_trees = [(n, mount) for n, mount in enumerate(plan.mounts) if mount.tree is not None]
    # Compiled already, and a large part of the document.
    linux = msgspec.structs.replace(plan.linux, seccomp=None, resources=None)
    message = _Message(
        spec=msgspec.structs.replace(plan.spec, linux=linux),
        new=list(plan.new),
        has_identity=plan.has_identity,
        may_make_nodes=plan.may_make_nodes,
        init=plan.init,
        privileges=plan.privileges,
        trees=[_Tree(n, mount.is_directory, mount.has_devices) for n, mount in with_trees],
        has_stdio=plan.stdio is not None,
    )
    descriptors = [plan.root, *(mount.tree for _, mount in with_trees if mount.tree is not None)]
    if plan.stdio is not None:
        descriptors += [plan.stdio.stdin, plan.stdio.stdout, plan.stdio.stderr]
    return msgspec.msgpack.encode(message), descriptors


def read_plan(data: bytes, descriptors: list[int]) -> Plan:
    """The plan that :func:`write_plan` wrote."""
    message = _decoder.decode(data)
    remaining = iter(descriptors)
    root = next(remaining)
    mounts = [PreparedMount(m, mount_options.parse(m.options)) for m in message.spec.mounts]
    for tree in message.trees:
        mount = mounts[tree.mount]
        mount.tree = next(remaining)
        mount.is_directory, mount.has_devices = tree.is_directory, tree.has_devices
    return Plan(
        spec=message.spec,
        process=message.spec.process or Process(cwd="/"),
        linux=message.spec.linux or Linux(),
        new=frozenset(message.new),
        has_identity=message.has_identity,
        may_make_nodes=message.may_make_nodes,
        root=root,
        mounts=mounts,
        privileges=message.privileges,
        stdio=Stdio(*remaining) if message.has_stdio else None,
        init=message.init,
    )
