"""Which control group ``exec`` puts its process into: the container's, or one below it.

Source: runc-exec(8), ``--cgroup``.
"""

from __future__ import annotations

import os

from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, CgroupNotFoundError
from cellcrate_runtime.linux.cgroups.group import UNIFIED
from cellcrate_runtime.linux.cgroups.hierarchy import paths_of
from cellcrate_runtime.oci.command.errors import UsageError
from cellcrate_runtime.oci.command.groups import group_of, need_group
from cellcrate_runtime.oci.command.record import Record
from cellcrate_runtime.oci.making import CgroupMember

__all__ = ["group_to_join"]


def group_to_join(record: Record, wanted: list[str]) -> CgroupMember | None:
    """The control group for one more process of a container; None where it has none.

    Args:
        record: The container.
        wanted: Values of ``--cgroup``: paths below the container's group, for all controllers or
            in cgroup v1 as ``CONTROLLER,...:PATH`` for some.

    Raises:
        CgroupNotFoundError: There is no such group.
        UsageError: A path leads elsewhere, or a controller is none of the container's.
    """
    if wanted:
        whole = need_group(record)
        return _below(whole, _paths(whole, wanted))
    group = group_of(record)
    if group is not None and set(group.directories) == {UNIFIED}:
        return _WithProgram(group, record.pid)
    return group


def _paths(group: Cgroup, wanted: list[str]) -> dict[str, str]:
    """The path for each of the group's directories that one is given for."""
    paths: dict[str, str] = {}
    for each in wanted:
        names, colon, path = each.rpartition(":")
        path = "/" + path.strip("/")
        if {"..", "."} & set(path.split("/")):
            raise UsageError(f"--cgroup: {each!r} does not lie below the container's group")
        if not colon:
            paths |= dict.fromkeys(group.directories, path)
            continue
        for name in names.split(","):
            key = {"blkio": "io"}.get(name, name)
            if not key or key not in group.directories:
                raise UsageError(_no_controller(group, name))
            paths[key] = path
    return paths


def _below(group: Cgroup, paths: dict[str, str]) -> Cgroup:
    """The groups at these paths; of trees without one, the container's own."""
    directories = dict(group.directories)
    for name, path in paths.items():
        directory = f"{group.directories[name]}{path}".rstrip("/")
        if os.path.isdir(directory):
            directories[name] = directory
        elif name != UNIFIED or len(paths) == 1:  # v2 beside v1 has few of the controllers
            raise CgroupNotFoundError(f"--cgroup: there is no control group {directory}")
    if not group.unit:
        return Cgroup(group.path, directories)
    return _part_of_scope(group, directories, paths[UNIFIED])


def _part_of_scope(group: Cgroup, directories: dict[str, str], place: str) -> Cgroup:
    from cellcrate_runtime.linux.cgroups.scope import Scope

    assert isinstance(group, Scope)
    part = Scope(group.unit, group.path, directories, user=group.user)
    part.place = place
    return part


def _no_controller(group: Cgroup, name: str) -> str:
    if set(group.directories) == {UNIFIED}:
        return "--cgroup: in cgroup v2 there is one path for all controllers, as --cgroup=/below"
    there = ", ".join(filter(None, group.directories))
    return f"--cgroup: the container has no controller {name!r} (it has: {there})"


class _WithProgram:
    """The container's group in cgroup v2, or the one below it that its program is in by now.

    A program that divides its group, as systemd does, moves into a part of it: then nobody can be
    in the whole, because no group both has processes and hands controllers down.
    """

    def __init__(self, group: Cgroup, program: int) -> None:
        self._group = group
        self._program = program

    def fd(self) -> int | None:
        """As a group."""
        return self._group.fd()

    def add(self, pid: int, *, cloned_into: bool = False) -> None:
        """Move a process into the group, or to the program."""
        try:
            self._group.add(pid, cloned_into=cloned_into)
        except CgroupError:
            below = self._below()
            if below is None:
                raise
            below.add(pid)

    def _below(self) -> Cgroup | None:
        """The group of the program, if it is below the container's."""
        top = self._group.directories[UNIFIED]
        own = paths_of(self._program).get("", "")
        _, found, path = own.partition(self._group.path + "/")
        if not found:
            return None
        return Cgroup(f"{self._group.path}/{path}", {UNIFIED: f"{top}/{path}"})
