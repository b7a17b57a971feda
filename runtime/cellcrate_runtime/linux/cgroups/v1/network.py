"""Marks on the packets of a group: a class for traffic control, and priorities by interface.

cgroup v2 has neither: there, packets are matched by the group's path (iptables, nftables, BPF).
Source: Documentation/admin-guide/cgroup-v1/net_cls.rst and net_prio.rst of the kernel.
"""

from __future__ import annotations

from .. import files
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["Classes", "Priorities"]


class Classes:
    """The controller ``net_cls``."""

    def apply(self, directory: str, resources: Resources) -> None:
        """Write the class, where one is asked for."""
        if resources.network is not None and resources.network.class_id is not None:
            files.write(directory, "net_cls.classid", resources.network.class_id)

    def read(self, directory: str, stats: CgroupStats) -> None:
        """Add nothing: nothing is counted."""


class Priorities:
    """The controller ``net_prio``."""

    def apply(self, directory: str, resources: Resources) -> None:
        """Write the priority on each interface."""
        for rule in resources.network.priorities if resources.network is not None else ():
            files.write(directory, "net_prio.ifpriomap", f"{rule.name} {rule.priority}")

    def read(self, directory: str, stats: CgroupStats) -> None:
        """Add nothing: nothing is counted."""
