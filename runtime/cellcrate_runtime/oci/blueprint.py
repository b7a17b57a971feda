"""Work out, before the fork, everything that a process needs to know after it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.linux import labels, namespaces
from cellcrate_runtime.oci import cgroup_mounts, mount_options, mounts, privileges, rootfs, unveiled
from cellcrate_runtime.oci.consoles import Stdio
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.further_process import FurtherPlan
from cellcrate_runtime.oci.identity import MappingNamespaces, outside_id
from cellcrate_runtime.oci.launch import IN_PROCESS, Launch
from cellcrate_runtime.oci.plan import Plan
from cellcrate_runtime.oci.spec import Linux, Process, Spec

if TYPE_CHECKING:
    from cellcrate_runtime.oci.state import State

__all__ = ["plan_first", "plan_further"]


def plan_first(
    spec: Spec,
    root_path: str,
    stdio: Stdio | None,
    init: bool,
    userns_fd: int | None,
    held: ExitStack,
    state: State | None = None,
    launch: Launch = IN_PROCESS,
) -> Plan:
    """The plan of a container's first process.

    Args:
        held: Closes what the plan holds open, which the parent does not need after the fork.
        state: What hooks are told, where there are any.
        launch: How it is made to run.

    Raises:
        OCIError: Something that the configuration takes from the host is not there.
    """
    process, linux = spec.process or Process(cwd="/"), spec.linux or Linux()
    if linux.mount_label and labels.has_selinux():
        spec = _labelled(spec, linux.mount_label)
    rights = privileges.prepare(process, linux, keep_groups=launch.keep_groups)
    try:
        root = rootfs.open_root(root_path, linux.rootfs_propagation)
    except OSError as error:
        raise OCIError.from_os_error(error, "cannot open the root file system") from error
    held.callback(os.close, root)
    has_identity = any(namespace.type == "user" for namespace in linux.namespaces)
    new = frozenset(n.type for n in linux.namespaces if not n.path)
    return Plan(
        spec=spec,
        process=process,
        linux=linux,
        new=new,
        has_identity=has_identity,
        may_make_nodes=not has_identity and namespaces.in_initial_user_namespace(),
        root=root,
        mounts=_prepared(spec, linux, userns_fd, held),
        privileges=rights,
        stdio=stdio,
        init=init,
        state=state,
        root_path=root_path if state is not None or "mount" not in new else "",
        makers_mounts=0 if launch.pivot else unveiled.namespace(),
        launch=launch,
    )


def _labelled(spec: Spec, label: str) -> Spec:
    """With ``linux.mountLabel`` in the options of the file systems that are made."""
    mounts = []
    for mount in spec.mounts:
        made = not mount_options.parse(mount.options).bind
        words = mount_options.with_label(mount.options, mount.type, label) if made else None
        mounts.append(msgspec.structs.replace(mount, options=words) if words else mount)
    return msgspec.structs.replace(spec, mounts=mounts)


def _prepared(
    spec: Spec, linux: Linux, userns_fd: int | None, held: ExitStack
) -> list[mounts.PreparedMount]:
    mappings = MappingNamespaces(linux, userns_fd)
    prepared = []
    owner = _owner_of_nodes(linux)
    try:
        for place, mount in enumerate(spec.mounts):
            if owner is not None and mounts.is_dev(mount) and mount.type == "tmpfs":
                ready = mounts.prepare_dev(mount, owner, linux, spec.mounts[place + 1 :])
            else:
                ready = mounts.prepare(mount, mappings)
            held.callback(ready.close)
            prepared.append(ready)
            if mount.type in ("cgroup", "cgroup2"):
                cgroup_mounts.remember_layout()
    finally:
        for descriptor in mappings.made:
            os.close(descriptor)
    return prepared


def _owner_of_nodes(linux: Linux) -> tuple[int, int] | None:
    """The container's root as the host sees it, where this process may make nodes for it."""
    if os.geteuid() != 0 or not namespaces.in_initial_user_namespace():
        return None
    if any(device.path.rpartition("/")[0] != "/dev" for device in linux.devices):
        return None  # some are elsewhere, and made inside: then all are
    if linux.mount_label:
        return None  # it is given to mount(2), inside
    uid, gid = outside_id(linux.uid_mappings, 0), outside_id(linux.gid_mappings, 0)
    joins_identity = any(n.type == "user" and n.path for n in linux.namespaces)
    if uid is None or gid is None or (joins_identity and not linux.uid_mappings):
        return None
    return uid, gid


def plan_further(
    process: Process, spec: Spec, stdio: Stdio | None, launch: Launch, root: int | None = None
) -> FurtherPlan:
    """The plan of one more process in a running container."""
    linux = spec.linux or Linux()
    return FurtherPlan(
        process=process,
        privileges=privileges.prepare(process, linux, keep_groups=launch.keep_groups),
        has_identity=any(namespace.type == "user" for namespace in linux.namespaces),
        stdio=stdio,
        launch=launch,
        root=root,
    )
