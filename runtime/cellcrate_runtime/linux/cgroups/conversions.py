"""From the units of cgroup v1, which OCI and Docker speak, to those of cgroup v2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil, log2

import msgspec

from .errors import CgroupError
from .resources import DeviceRule

__all__ = ["cpu_weight", "each_kind", "io_weight", "swap_alone"]


def cpu_weight(shares: int) -> int:
    """Turn CPU shares (2 to 262144, default 1024) into a weight (1 to 10000, default 100).

    The curve goes through both ends and both defaults. runc (since 1.3.2) and crun (since 1.23)
    use it; before, a straight line turned the default of 1024 into 39.
    Source: opencontainers/cgroups, utils.go, ConvertCPUSharesToCgroupV2Value.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    log = log2(shares)
    return ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34))


def io_weight(weight: int) -> int:
    """Turn a blkio weight (10 to 1000) into an io weight (1 to 10000), on a straight line.

    Source: opencontainers/cgroups, utils.go, ConvertBlkIOToIOWeightValue.
    """
    return 1 + (weight - 10) * 9999 // 990


def swap_alone(limit: int | None, total: int | None) -> int | None:
    """Turn a limit for memory and swap together into one for swap alone; -1 means no limit.

    Returns None where the limit of swap is to be left as it is.

    Raises:
        CgroupError: There is a total but no memory limit, or the total is smaller.
    """
    if limit == -1 and not total:
        return -1  # no limit of memory and nothing said of swap: none there either, as in v1
    if not total:
        return None
    if total == -1 or limit == -1:
        return total
    if not limit:
        raise CgroupError("A limit of memory and swap together needs a limit of memory as well.")
    if total < limit:
        raise CgroupError(
            f"The limit of memory and swap together ({total} bytes) "
            f"is smaller than the limit of memory ({limit} bytes)."
        )
    return total - limit


def each_kind(rules: Iterable[DeviceRule]) -> Iterator[DeviceRule]:
    """Rules about devices, where those about some devices of both kinds stand for one of each.

    Only a rule about everything may be about both kinds at once: the kernel, in cgroup v1, does not
    look at the rest of one that begins with ``a``.
    """
    for rule in rules:
        is_whole = _any(rule.major) and _any(rule.minor) and set(rule.access or "rwm") == {*"rwm"}
        if rule.type not in (None, "", "a") or is_whole:
            yield rule
            continue
        for kind in ("b", "c"):
            yield msgspec.structs.replace(rule, type=kind)


def _any(number: int | None) -> bool:
    return number is None or number < 0
