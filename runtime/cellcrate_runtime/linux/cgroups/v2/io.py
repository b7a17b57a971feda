"""Block devices: weights and rates.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "IO".
"""

from __future__ import annotations

import os

from .. import files
from ..conversions import io_weight
from ..resources import BlockIO, Resources
from ..stats import BlkioEntry, CgroupStats

__all__ = ["apply", "read"]

_BFQ = "io.bfq.weight"


def apply(directory: str, resources: Resources) -> None:
    """Write the weights and rates that are asked for."""
    block = resources.block_io
    if block is None:
        return
    if block.weight or block.weight_device:
        _weights(directory, block)
    for operation, unit, rule in block.rates():
        limit = f"{operation[0]}{unit}={rule.rate or 'max'}"  # such as rbps=1048576
        files.write(directory, "io.max", f"{rule.major}:{rule.minor} {limit}")


def _weights(directory: str, block: BlockIO) -> None:
    """Write weights for the BFQ scheduler, which has v1's scale, or else for io.cost."""
    bfq = os.path.exists(f"{directory}/{_BFQ}")
    name = _BFQ if bfq else "io.weight"
    if block.weight:
        files.write(directory, name, block.weight if bfq else io_weight(block.weight))
    for rule in block.weight_device:
        if rule.weight:
            weight = rule.weight if bfq else io_weight(rule.weight)
            files.write(directory, name, f"{rule.major}:{rule.minor} {weight}")


def read(directory: str, stats: CgroupStats) -> None:
    """Add the bytes and operations of each device."""
    stats.io_bytes = []
    stats.io_operations = []
    for line in files.read(directory, "io.stat").splitlines():
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        for field in fields:
            key, _, number = field.partition("=")
            op = {"r": "read", "w": "write", "d": "discard"}.get(key[0])
            if op is None or key[1:] not in ("bytes", "ios"):
                continue  # io.cost and others add keys of their own
            entry = BlkioEntry(major=int(major), minor=int(minor), op=op, value=int(number))
            (stats.io_bytes if key[1:] == "bytes" else stats.io_operations).append(entry)
