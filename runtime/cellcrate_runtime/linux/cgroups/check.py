"""Finding what is wrong with limits before anything is made."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from . import machine
from .controllers import controllers_for
from .hierarchy import Hierarchy, hierarchy
from .machine import size_text
from .resources import (
    CPU,
    BlockIO,
    HugepageLimit,
    Memory,
    Resources,
    ThrottleDevice,
    WeightDevice,
)

__all__ = ["Problem", "check"]

_MILLISECOND = 1_000  # in the microseconds of quotas and periods
_SECOND = 1_000_000


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a limit."""

    member: str
    """The member of the OCI document, such as ``memory.limit``."""
    message: str
    """What is wrong and what would be right, as a sentence."""


def check(resources: Resources, found: Hierarchy | None = None) -> list[Problem]:
    """Return what the kernel would refuse, and what makes no sense on this machine.

    ``found`` is :func:`hierarchy` unless given.
    """
    found = found or hierarchy()
    problems = [
        Problem(controller, str(found.unavailable(controller)))
        for controller in controllers_for(resources)
        if not found.has(controller)
    ]
    if resources.memory is not None:
        problems += _memory(resources.memory, found)
    if resources.cpu is not None:
        problems += _cpu(resources.cpu)
    if resources.pids is not None and (resources.pids.limit or 0) > machine.tasks():
        problems.append(
            Problem(
                "pids.limit",
                f"{resources.pids.limit} processes are more than this machine can have "
                f"({machine.tasks()}).",
            )
        )
    if resources.block_io is not None:
        problems += _block_io(resources.block_io)
    problems += _hugepages(resources.hugepage_limits)
    problems += _adapters(resources)
    return problems


def _memory(memory: Memory, found: Hierarchy) -> Iterator[Problem]:
    limit, total = memory.limit or 0, memory.swap or 0
    there = machine.memory_bytes()
    for name, value in (("limit", limit), ("swap", total), ("reservation", memory.reservation)):
        if value is not None and value < -1:
            yield Problem(f"memory.{name}", f"{value} bytes: give a size, or -1 for no limit.")
    if limit > there:
        yield Problem(
            "memory.limit",
            f"{size_text(limit)} are more memory than this machine has ({size_text(there)}).",
        )
    if total > 0 and limit == 0:
        yield Problem("memory.swap", "A limit of memory and swap needs a limit of memory too.")
    elif total > 0 and total < limit:
        yield Problem(
            "memory.swap",
            f"The limit of memory and swap together ({size_text(total)}) is smaller than that of "
            f"memory ({size_text(limit)}).",
        )
    if memory.reservation and 0 < limit < memory.reservation:
        yield Problem(
            "memory.reservation",
            f"The reservation ({size_text(memory.reservation)}) is larger than the limit "
            f"({size_text(limit)}).",
        )
    yield from _only_in_v1(memory, found)


def _only_in_v1(memory: Memory, found: Hierarchy) -> Iterator[Problem]:
    if memory.swappiness is not None and not -1 <= memory.swappiness <= 100:
        yield Problem("memory.swappiness", f"{memory.swappiness} is not between 0 and 100.")
    place = found.controllers.get("memory")
    if place is None or place.version == 1:
        return
    if memory.swappiness is not None and memory.swappiness >= 0:
        yield Problem("memory.swappiness", "cgroup v2, which this machine has, has no swappiness.")
    if memory.disable_oom_killer:
        yield Problem(
            "memory.disableOOMKiller",
            "In cgroup v2, which this machine has, the out-of-memory killer cannot be switched "
            "off.",
        )


def _cpu(cpu: CPU) -> Iterator[Problem]:
    if cpu.shares and not 2 <= cpu.shares <= 262144:
        yield Problem("cpu.shares", f"{cpu.shares} is not between 2 and 262144.")
    period = cpu.period or 100 * _MILLISECOND
    if not _MILLISECOND <= period <= _SECOND:
        yield Problem("cpu.period", f"{period} µs is not between 1 ms and 1 s.")
    elif cpu.quota and cpu.quota > 0:
        cpus = len(machine.cpus())
        if cpu.quota < _MILLISECOND:
            yield Problem("cpu.quota", f"{cpu.quota} µs is less than 1 ms.")
        elif cpu.quota > cpus * period:
            yield Problem(
                "cpu.quota",
                f"{cpu.quota / period:g} CPUs are more than this machine has ({cpus}).",
            )
    if cpu.burst and cpu.quota and 0 < cpu.quota < cpu.burst:
        yield Problem("cpu.burst", f"{cpu.burst} µs is more than the quota ({cpu.quota} µs).")
    if cpu.idle not in (None, 0, 1):
        yield Problem("cpu.idle", f"{cpu.idle} is neither 0 nor 1.")
    yield from _numbers("cpu.cpus", "CPUs", cpu.cpus, machine.cpus())
    yield from _numbers("cpu.mems", "memory nodes", cpu.mems, machine.memory_nodes())


def _numbers(member: str, title: str, text: str | None, there: frozenset[int]) -> Iterator[Problem]:
    if not text:
        return
    try:
        asked = machine.parse_list(text)
    except ValueError as error:
        yield Problem(member, f"{error}.")
        return
    if not asked <= there:
        names = ", ".join(map(str, sorted(there)))
        yield Problem(member, f"{text!r} names {title} that are not there; there are: {names}.")


def _block_io(block: BlockIO) -> Iterator[Problem]:
    if block.weight and not 10 <= block.weight <= 1000:
        yield Problem("blockIO.weight", f"{block.weight} is not between 10 and 1000.")
    rules: list[ThrottleDevice | WeightDevice] = [
        *block.weight_device,
        *(rule for _, _, rule in block.rates()),
    ]
    for rule in rules:
        if not os.path.exists(f"/sys/dev/block/{rule.major}:{rule.minor}"):
            yield Problem("blockIO", f"There is no block device {rule.major}:{rule.minor}.")


def _hugepages(limits: list[HugepageLimit]) -> Iterator[Problem]:
    sizes = machine.page_sizes()
    for rule in limits:
        if rule.page_size not in sizes:
            there = ", ".join(sorted(sizes)) or "none"
            yield Problem(
                "hugepageLimits",
                f"There are no huge pages of {rule.page_size}; there are: {there}.",
            )
        elif rule.limit < 0:
            yield Problem("hugepageLimits", f"{rule.limit} bytes: give a size, or 0 for none.")


def _adapters(resources: Resources) -> Iterator[Problem]:
    network = resources.network
    if network is not None:
        numbers = [rule.priority for rule in network.priorities]
        for number in (network.class_id or 0, *numbers):
            if not 0 <= number < 1 << 32:
                yield Problem("network", f"{number} is not a number of 32 bits.")
    for name, rule in resources.rdma.items():
        limits = (rule.hca_handles, rule.hca_objects)
        if limits == (None, None):
            yield Problem("rdma", f"Give {name} hcaHandles, hcaObjects or both.")
        elif any(limit is not None and not 0 <= limit < 1 << 31 for limit in limits):
            yield Problem("rdma", f"The limits of {name} are not from 0 to 2147483647.")
