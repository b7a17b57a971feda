"""How much of everything this machine has, which no limit can exceed."""

from __future__ import annotations

import os
from functools import cache

from . import files
from .hierarchy import own_directories

__all__ = [
    "cpus",
    "has_swap",
    "memory_bytes",
    "memory_nodes",
    "own_memory_limit",
    "page_sizes",
    "parse_list",
    "size_text",
    "tasks",
]


def parse_list(text: str) -> set[int]:
    """Parse a list of numbers such as ``0-3,8``; see cpuset(7), "List format".

    Raises:
        ValueError: It is not such a list.
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not first.strip().isdecimal() or (dash and not last.strip().isdecimal()):
            raise ValueError(f"{text!r} is not a list of numbers such as 0-3,8")
        low, high = int(first), int(last if dash else first)
        if not low <= high <= 65535:
            raise ValueError(f"{text!r} has a range that runs backwards, or is too long")
        found.update(range(low, high + 1))
    return found


@cache
def cpus() -> frozenset[int]:
    """Return the CPUs that are online."""
    return frozenset(parse_list(files.read("/sys/devices/system/cpu", "online")))


@cache
def memory_nodes() -> frozenset[int]:
    """Return the memory nodes; a machine without NUMA has one, number 0."""
    try:
        return frozenset(parse_list(files.read("/sys/devices/system/node", "online")))
    except OSError:
        return frozenset({0})


@cache
def memory_bytes() -> int:
    """Return the memory of the machine, without swap."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def own_memory_limit() -> int | None:
    """Return the limit of memory that is set on this process's own group, or None.

    Groups above it may have smaller ones; in a sandbox they are usually out of sight.
    """
    directories = own_directories()
    if "memory" in directories:
        limit = files.read_int(directories["memory"], "memory.limit_in_bytes")
    elif "" in directories:
        limit = files.read_int(directories[""], "memory.max")
    else:
        limit = None
    return limit if limit is not None and limit < memory_bytes() else None


def has_swap() -> bool:
    """Whether the machine has swap now; where it has none, swap needs no limit."""
    return files.read("/proc", "swaps").count("\n") > 1  # the first line is a heading


def tasks() -> int:
    """Return how many processes and threads there can be at one time."""
    return int(files.read("/proc/sys/kernel", "pid_max"))


def page_sizes() -> dict[str, int]:
    """Return the sizes of huge pages in bytes, by the name in their control files (``2MB``)."""
    sizes = {}
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return {}
    for name in names:  # such as hugepages-2048kB
        kilobytes = int(name.removeprefix("hugepages-").removesuffix("kB"))
        if kilobytes >= 1 << 20:
            title = f"{kilobytes >> 20}GB"
        elif kilobytes >= 1 << 10:
            title = f"{kilobytes >> 10}MB"
        else:
            title = f"{kilobytes}KB"
        sizes[title] = kilobytes << 10
    return sizes


def size_text(size: int) -> str:
    """Return a size for people, to four digits, such as ``1.5 GiB``."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.4g} {unit}"
    return f"{size} bytes"
