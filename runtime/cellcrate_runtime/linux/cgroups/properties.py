"""Limits as properties of a systemd unit, so that systemd knows what it shall not undo.

systemd writes a unit's limits anew whenever it is reloaded. It does not know all of them: the
others are written to the group's files alone, as all of them are in the end.

A property is the words that busctl(1) takes for it: its name, its type, and its value. Source:
org.freedesktop.systemd1(5), systemd.resource-control(5), and runc's docs/systemd.md for which limit
becomes which property.
"""

from __future__ import annotations

from .conversions import cpu_weight, io_weight, swap_alone
from .errors import CgroupError
from .resources import CPU, Memory, Resources

__all__ = ["INFINITY", "Property", "of_resources"]

Property = tuple[str, ...]

INFINITY = (1 << 64) - 1
"""No limit."""

_DEFAULT_PERIOD = 100_000  # microseconds
_PER_CENT = 10_000  # microseconds of a second: systemd keeps whole hundredths of a CPU
_UNIFIED_SIZES = {
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.max": "MemoryMax",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "pids.max": "TasksMax",
}
_UNIFIED_SETS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}


def of_resources(resources: Resources) -> list[Property]:
    """The properties for limits of cgroup v2; none for what is not limited.

    Raises:
        CgroupError: A limit makes no sense.
    """
    found: list[Property] = []
    if resources.memory is not None:
        found += _of_memory(resources.memory)
    if resources.cpu is not None:
        found += _of_cpu(resources.cpu)
    pids = resources.pids.limit if resources.pids is not None else None
    if pids:  # 0 is no number of tasks to systemd
        found.append(_number("TasksMax", pids))
    if resources.block_io is not None and resources.block_io.weight:
        found.append(_number("IOWeight", io_weight(resources.block_io.weight)))
    return found + _of_unified(resources.unified)


def _of_memory(memory: Memory) -> list[Property]:
    sizes = {
        "MemoryMax": memory.limit,
        "MemoryLow": memory.reservation,
        "MemorySwapMax": swap_alone(memory.limit, memory.swap),
    }
    # As for the files: a limit or reservation of 0 is none that was asked for.
    return [
        _number(name, size)
        for name, size in sizes.items()
        if size or (size == 0 and name == "MemorySwapMax")
    ]


def _of_cpu(cpu: CPU) -> list[Property]:
    found = []
    if cpu.shares and not cpu.idle:
        found.append(_number("CPUWeight", cpu_weight(cpu.shares)))
    if cpu.quota or cpu.period:
        found += _quota(cpu.quota or -1, cpu.period)
    if cpu.cpus:
        found.append(_set("AllowedCPUs", cpu.cpus))
    if cpu.mems:
        found.append(_set("AllowedMemoryNodes", cpu.mems))
    return found


def _quota(quota: int, period: int | None) -> list[Property]:
    """A quota as time a second, rounded up to what systemd can keep."""
    found = [_number("CPUQuotaPeriodUSec", period)] if period else []
    a_second = -1
    if quota > 0:
        a_second = -(-quota * 1_000_000 // (period or _DEFAULT_PERIOD))
        a_second = -(-a_second // _PER_CENT) * _PER_CENT
    return [*found, _number("CPUQuotaPerSecUSec", a_second)]


def _of_unified(files: dict[str, str]) -> list[Property]:
    """What ``linux.resources.unified`` asks for, as far as systemd knows it."""
    found: list[Property] = []
    for name, text in files.items():
        value = text.strip()
        if name in _UNIFIED_SIZES:
            found.append(_number(_UNIFIED_SIZES[name], _parse(name, value)))
        elif name in _UNIFIED_SETS:
            found.append(_set(_UNIFIED_SETS[name], value))
        elif name == "cpu.weight":
            found.append(_number("CPUWeight", _parse(name, value)))
        elif name == "cpu.max":
            quota, _, period = value.partition(" ")
            found += _quota(_parse(name, quota), _parse(name, period) if period else None)
    return found


def _parse(name: str, text: str) -> int:
    if text == "max":
        return -1
    if not text.isdecimal():
        raise CgroupError(f"linux.resources.unified: {name}: {text!r} is not a number, nor max.")
    return int(text)


def _number(name: str, value: int) -> Property:
    return name, "t", str(INFINITY if value < 0 else value)


def _set(name: str, text: str) -> Property:
    """A list such as ``0-3,7`` as bytes, a bit for each number, the lowest first."""
    bits = 0
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            numbers = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            raise CgroupError(f"{text!r} is not a list of numbers, such as 0-3,7.") from None
        for number in numbers:
            bits |= 1 << number
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return name, "ay", str(len(data)), *map(str, data)
