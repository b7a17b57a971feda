"""The limits a container is given, in the words of the OCI runtime specification.

Source: OCI runtime-spec 1.2, config-linux.md, section "Control groups".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

__all__ = [
    "CPU",
    "RDMA",
    "BlockIO",
    "DeviceRule",
    "HugepageLimit",
    "Memory",
    "Network",
    "NetworkPriority",
    "Pids",
    "Resources",
    "ThrottleDevice",
    "WeightDevice",
]


class _Document(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A JSON object with camelCase member names."""


class DeviceRule(_Document):
    """One rule of the device controller; ``access`` is made of ``r``, ``w`` and ``m``."""

    allow: bool
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    access: str | None = None


class Memory(_Document):
    """Memory limits in bytes; -1 takes a limit away."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None  # memory and swap together, as in cgroup v1
    kernel: int | None = None
    kernel_tcp: int | None = msgspec.field(default=None, name="kernelTCP")
    swappiness: int | None = None
    disable_oom_killer: bool | None = msgspec.field(default=None, name="disableOOMKiller")
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class CPU(_Document):
    """CPU limits: ``shares`` is a weight (default 1024), times are in microseconds."""

    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: int | None = None


class Pids(_Document):
    """How many tasks there may be; -1 means no limit, and 0 that there may be no more."""

    limit: int | None = None


class WeightDevice(_Document):
    """The weight of one block device, 10 to 1000."""

    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


class ThrottleDevice(_Document):
    """The rate of one block device, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


class BlockIO(_Document):
    """Block device limits."""

    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: list[WeightDevice] = []
    throttle_read_bps_device: list[ThrottleDevice] = []
    throttle_write_bps_device: list[ThrottleDevice] = []
    throttle_read_iops_device: list[ThrottleDevice] = msgspec.field(
        default_factory=list, name="throttleReadIOPSDevice"
    )
    throttle_write_iops_device: list[ThrottleDevice] = msgspec.field(
        default_factory=list, name="throttleWriteIOPSDevice"
    )

    def rates(
        self,
    ) -> Iterator[tuple[Literal["read", "write"], Literal["bps", "iops"], ThrottleDevice]]:
        """Each rate, after what it limits and whether it counts bytes or operations a second."""
        for rule in self.throttle_read_bps_device:
            yield "read", "bps", rule
        for rule in self.throttle_write_bps_device:
            yield "write", "bps", rule
        for rule in self.throttle_read_iops_device:
            yield "read", "iops", rule
        for rule in self.throttle_write_iops_device:
            yield "write", "iops", rule


class NetworkPriority(_Document):
    """The priority of a group's packets on one network interface."""

    name: str
    priority: int


class Network(_Document):
    """How a group's packets are marked; cgroup v1 alone can."""

    class_id: int | None = msgspec.field(default=None, name="classID")
    priorities: list[NetworkPriority] = []


class RDMA(_Document):
    """How many handles and objects of one network adapter there may be."""

    hca_handles: int | None = None
    hca_objects: int | None = None


class HugepageLimit(_Document):
    """The limit, in bytes, for one size of huge pages, such as ``2MB``."""

    page_size: str
    limit: int


class Resources(_Document):
    """All limits of one container."""

    devices: list[DeviceRule] = []
    memory: Memory | None = None
    cpu: CPU | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = msgspec.field(default=None, name="blockIO")
    hugepage_limits: list[HugepageLimit] = []
    network: Network | None = None
    rdma: dict[str, RDMA] = {}
    unified: dict[str, str] = {}
