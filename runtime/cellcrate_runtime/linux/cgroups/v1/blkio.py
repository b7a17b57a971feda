"""Block devices: weights and rates.

Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst of the kernel.
"""

from __future__ import annotations

import os

from .. import files
from ..resources import BlockIO, Resources
from ..stats import BlkioEntry, CgroupStats

__all__ = ["apply", "read"]


def apply(directory: str, resources: Resources) -> None:
    """Write the weights and rates that are asked for."""
    block = resources.block_io
    if block is None:
        return
    if block.weight or block.weight_device:
        _weights(directory, block)
    for operation, unit, rule in block.rates():
        value = f"{rule.major}:{rule.minor} {rule.rate}"
        files.write(directory, f"blkio.throttle.{operation}_{unit}_device", value)


def _weights(directory: str, block: BlockIO) -> None:
    # The scheduler that knows weights was CFQ until Linux 5.0, and has been BFQ since.
    prefix = "blkio.bfq.weight"
    if not os.path.exists(f"{directory}/{prefix}"):
        prefix = "blkio.weight"
    if block.weight:
        files.write(directory, prefix, block.weight)
    for rule in block.weight_device:
        if rule.weight:
            value = f"{rule.major}:{rule.minor} {rule.weight}"
            files.write(directory, f"{prefix}_device", value)


def read(directory: str, stats: CgroupStats) -> None:
    """Add the bytes and operations of each device."""
    stats.io_bytes = _entries(directory, "blkio.throttle.io_service_bytes_recursive")
    stats.io_operations = _entries(directory, "blkio.throttle.io_serviced_recursive")


def _entries(directory: str, name: str) -> list[BlkioEntry]:
    """Parse lines such as ``8:0 Read 4096``; the last line, a total, has no device."""
    entries = []
    for line in files.read(directory, name).splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[1] in ("Read", "Write", "Discard"):
            major, _, minor = fields[0].partition(":")
            entries.append(
                BlkioEntry(
                    major=int(major),
                    minor=int(minor),
                    op=fields[1].lower(),
                    value=int(fields[2]),
                )
            )
    return entries
