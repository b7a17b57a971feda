"""The control group of a container, by what its configuration and the command line ask for."""

from __future__ import annotations

import os

from cellcrate_runtime.linux import namespaces
from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    CgroupError,
    CgroupNotFoundError,
    Resources,
    hierarchy,
)
from cellcrate_runtime.linux.cgroups.controllers import controllers_for
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.device_rules import usual_devices
from cellcrate_runtime.oci.spec import Linux, Spec

__all__ = ["group_of", "make_group", "need_group"]


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
    path = _path(settings, linux.cgroups_path, container_id)
    try:
        return Cgroup.create(path, resources)
    except CgroupError:
        may_do_without = os.geteuid() != 0 or not namespaces.in_initial_user_namespace()
        if may_do_without and not controllers_for(resources) and not resources.unified:
            return None
        raise


def _path(settings: Settings, wanted: str, container_id: str) -> str:
    if settings.cgroup_manager == "systemd":
        if not os.path.isdir("/run/systemd/system"):
            raise CommandError(
                "systemd not running on this host, cannot use systemd cgroups manager"
            )
        raise CommandError(
            "control groups made by systemd are not supported; leave out --systemd-cgroup "
            "(for podman: --cgroup-manager=cgroupfs)"
        )
    return os.path.normpath("/" + (wanted or container_id).lstrip("/"))


def _with_usual_devices(resources: Resources) -> Resources:
    """With what every container may use, after whatever its configuration forbids."""
    if resources.devices:
        resources.devices = [*resources.devices, *usual_devices()]
    return resources


def group_of(record: Record) -> Cgroup | None:
    """The group of a container, if it has one."""
    return Cgroup(record.cgroup, record.directories) if record.directories else None


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
