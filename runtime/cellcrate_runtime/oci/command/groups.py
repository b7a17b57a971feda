"""The control group of a container, by what its configuration and the command line ask for."""

from __future__ import annotations

import os

from cellcrate_runtime.linux import namespaces
from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    CgroupBusyError,
    CgroupError,
    CgroupNotFoundError,
    Hierarchy,
    Place,
    Resources,
    hierarchy,
    tree,
)
from cellcrate_runtime.linux.cgroups.controllers import controllers_for
from cellcrate_runtime.linux.cgroups.group import UNIFIED
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.device_rules import usual_devices
from cellcrate_runtime.oci.spec import Linux, Spec

__all__ = ["group_of", "make_group", "need_group", "trees_of"]


def make_group(settings: Settings, spec: Spec, container_id: str) -> Cgroup | None:
    """Make a container's group; None for an ordinary user who may not, and asks for no limit.

    Raises:
        CgroupError: A limit cannot be set.
        CommandError: The manager that was asked for is not to be had.
    """
    linux = spec.linux or Linux()
    resources = _with_usual_devices(linux.resources or Resources())
    if settings.cgroup_manager == "disabled":
        return None
    if settings.cgroup_manager == "systemd":
        return _plan_scope(spec, linux, resources, container_id)
    path = os.path.normpath("/" + (linux.cgroups_path or container_id).lstrip("/"))
    _refuse_frozen(path)
    try:
        return Cgroup.create(path, resources, _of_v1())
    except CgroupBusyError as error:
        raise CommandError(f"container's cgroup is not empty: {error}") from error
    except CgroupError:
        if _is_users() and not controllers_for(resources) and not resources.unified:
            return None
        raise


def _of_v1() -> list[str]:
    """The controllers with a tree of their own.

    In one that the container had no group in, its processes would stay in their maker's, and so
    would a cgroup namespace and what is mounted of the tree. Callers look into the trees, too:
    podman and containerd count time with cpuacct.
    """
    return [name for name, place in hierarchy().controllers.items() if place.version == 1]


def _refuse_frozen(path: str) -> None:
    """Refuse a group that somebody has frozen, in which nothing would ever begin."""
    try:
        found = Cgroup.open(path)
    except CgroupNotFoundError:
        return
    if found.frozen:
        raise CommandError(
            f"container's cgroup unexpectedly frozen: {path}; thaw it, or name another one in "
            "linux.cgroupsPath"
        )


def _plan_scope(spec: Spec, linux: Linux, resources: Resources, container_id: str) -> Cgroup:
    """The group that systemd will make around the container's first process."""
    if not os.path.isdir("/run/systemd/system"):
        raise CommandError("systemd not running on this host, cannot use systemd cgroups manager")
    if hierarchy().kind != "v2":
        raise CommandError(
            "control groups made by systemd are supported with cgroup v2 alone, and this machine "
            "has cgroup v1; leave out --systemd-cgroup (for podman: --cgroup-manager=cgroupfs)"
        )
    from cellcrate_runtime.linux.cgroups.scope import Scope
    from cellcrate_runtime.linux.cgroups.units import parse
    from cellcrate_runtime.linux.cgroups.variants import of_annotations

    user = _is_users()
    name = parse(linux.cgroups_path, container_id, user=user)
    return Scope.planned(name, resources, of_annotations(spec.annotations), user=user)


def _is_users() -> bool:
    """Whether this process is an ordinary user's, if only seen from outside."""
    return os.geteuid() != 0 or not namespaces.in_initial_user_namespace()


def _with_usual_devices(resources: Resources) -> Resources:
    """With what every container may use, after whatever its configuration forbids."""
    if resources.devices:
        resources.devices = [*resources.devices, *usual_devices()]
    return resources


def group_of(record: Record) -> Cgroup | None:
    """The group of a container, if it has one."""
    if not record.directories:
        return None
    if record.unit:
        from cellcrate_runtime.linux.cgroups.scope import Scope

        return Scope(record.unit, record.cgroup, record.directories, user=_is_users())
    return Cgroup(record.cgroup, record.directories)


def need_group(record: Record) -> Cgroup:
    """The group of a container.

    Raises:
        CgroupError: It has none, and why.
    """
    group = group_of(record)
    if group is None:
        if not hierarchy().writable:
            raise hierarchy().unavailable("control group")
        raise CgroupNotFoundError("The container has no control group.")
    return group


def trees_of(group: Cgroup) -> Hierarchy:
    """What a group's limits can be set with: in a unit of systemd, what was delegated to it."""
    if not group.unit:
        return hierarchy()
    directory = group.directories[UNIFIED]
    names = [*tree.controllers(directory), "devices"]
    return Hierarchy("v2", {name: Place(2, directory, True) for name in names}, directory)
