"""What a group may take of network adapters that write to memory directly; the same in v1 and v2.

Source: Documentation/admin-guide/cgroup-v1/rdma.rst of the kernel.
"""

from __future__ import annotations

from .. import files
from ..resources import Resources
from ..stats import CgroupStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the limits of each device."""
    for name, rule in resources.rdma.items():
        limits = (("hca_handle", rule.hca_handles), ("hca_object", rule.hca_objects))
        words = [f"{word}={value}" for word, value in limits if value is not None]
        files.write(directory, "rdma.max", " ".join([name, *words]))


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: Docker's statistics have no word for it."""
