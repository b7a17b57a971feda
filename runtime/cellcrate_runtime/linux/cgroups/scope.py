"""A control group that systemd makes: a transient scope, which is the container's from then on.

systemd makes no scope without a process, so the group comes into being when its first member is
added. Its directory is delegated: what is below it, systemd leaves alone.

Source: systemd's docs/CGROUP_DELEGATION.md; systemd.scope(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from . import bus
from .errors import CgroupError
from .group import UNIFIED, Cgroup
from .hierarchy import cgroup_mounts
from .properties import Property, of_resources
from .resources import Resources
from .units import UnitName

__all__ = ["Scope"]


class Scope(Cgroup):
    """A control group of cgroup v2 that is a unit of systemd.

    Attributes:
        unit: The scope's name.
        user: Whether it is a unit of this user's systemd, and not of the machine's.
        place: Where below the scope processes are added, ``/`` for itself.
    """

    __slots__ = ("_first", "place", "unit", "user")

    def __init__(self, unit: str, path: str, directories: Mapping[str, str], *, user: bool) -> None:
        super().__init__(path, directories)
        self.unit = unit
        self.user = user
        self.place = "/"
        self._first: tuple[Resources, list[Property]] | None = None

    @classmethod
    def planned(
        cls, name: UnitName, resources: Resources, more: Sequence[Property] = (), *, user: bool
    ) -> Scope:
        """A scope that will be made around the first process that is added.

        Args:
            name: Of the unit and its slice.
            resources: The limits.
            more: Properties of the unit, which take the place of those that a scope has otherwise.
            user: As the attribute.

        Raises:
            CgroupError: A limit makes no sense.
        """
        scope = cls(name.scope, "", {}, user=user)
        named = {each[0]: each for each in (*_properties(name, resources), *more)}
        scope._first = resources, list(named.values())
        return scope

    def add(self, pid: int, *, cloned_into: bool = False) -> None:
        """Move a process into the group; the first one makes it, with its limits.

        Raises:
            CgroupError: systemd or the kernel refuses, or the process has ended.
        """
        if self._first is not None:
            resources, wanted = self._first
            self._start(pid, wanted)
            self.find_by(pid)
            super().apply(resources)
            return
        try:
            super().add(pid, cloned_into=cloned_into)
        except CgroupError:
            # Who is not root may not move a process out of what is not theirs; systemd may.
            if not self.user:
                raise
            words = [self.unit, self.place, "1", str(pid)]
            bus.call("AttachProcessesToUnit", "ssau", words, user=True)
            bus.wait_until_in(self.unit, pid)

    def _start(self, pid: int, wanted: list[Property]) -> None:
        arguments = bus.properties(*wanted, ("PIDs", "au", "1", str(pid)))
        words = [self.unit, "fail", *arguments, "0"]
        try:
            bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", words, user=self.user)
        except bus.UnitExistsError:
            # One that failed is kept by systemd until somebody has seen that.
            with suppress(CgroupError):
                bus.call("ResetFailedUnit", "s", [self.unit], user=self.user)
            bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", words, user=self.user)

    def find_by(self, pid: int) -> None:
        """Find out where the group is, by the process that was added first.

        Raises:
            CgroupError: It is nowhere.
        """
        if self._first is None:
            return
        path = bus.wait_until_in(self.unit, pid)
        self.path = path[: path.index(self.unit) + len(self.unit)]
        self.directories[UNIFIED] = _unified_mount() + self.path
        self._first = None

    def apply(self, resources: Resources) -> None:
        """Change limits: systemd is told those that it knows, and the files have all of them."""
        if wanted := of_resources(resources):
            words = [self.unit, "true", *bus.properties(*wanted)]
            bus.call("SetUnitProperties", "sba(sv)", words, user=self.user)
        super().apply(resources)

    def delete(self, timeout: float = 2.0) -> None:
        """Have systemd stop the unit, and remove what is left of the group."""
        if self._first is None and not os.path.exists(self.directories.get(UNIFIED, "")):
            return  # systemd has seen that it is empty
        for method, words in (("StopUnit", [self.unit, "fail"]), ("ResetFailedUnit", [self.unit])):
            with suppress(bus.UnitMissingError):
                bus.call(method, "s" * len(words), words, user=self.user)
        super().delete(timeout)


def _properties(name: UnitName, resources: Resources) -> list[Property]:
    accounted = ("CPU", "IO", "Memory", "Tasks")
    return [
        ("Description", "s", f"Cellcrate container {name.scope.removesuffix('.scope')}"),
        ("Slice", "s", name.slice),
        ("Delegate", "b", "true"),
        ("DefaultDependencies", "b", "false"),
        ("CollectMode", "s", "inactive-or-failed"),
        *((f"{kind}Accounting", "b", "true") for kind in accounted),
        *of_resources(resources),
    ]


def _unified_mount() -> str:
    for mount in cgroup_mounts():
        if mount.kind == "cgroup2":
            return mount.point
    raise CgroupError("cgroup v2 is not mounted, as it usually is at /sys/fs/cgroup.")
