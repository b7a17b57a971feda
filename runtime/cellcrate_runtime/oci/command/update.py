"""``update``: change the limits of a container while it runs."""

from __future__ import annotations

import sys

import msgspec

from cellcrate_runtime.linux.cgroups import Cgroup, Hierarchy, Resources, check
from cellcrate_runtime.linux.cgroups.check import Problem
from cellcrate_runtime.linux.cgroups.resources import CPU, BlockIO, Memory, Pids
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.groups import need_group, trees_of
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["update"]

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def update(settings: Settings, arguments: Arguments) -> None:
    """Set the limits that were given; the others stay as they are."""
    for name in ("l3-cache-schema", "mem-bw-schema"):
        if arguments.has(name):
            raise CommandError(f"--{name}: Intel RDT is not supported")
    folder = Folder(settings.root, arguments.id)
    resources = _resources(arguments)
    with folder.locked():
        record = folder.load()
        if status_of(folder, record) == "stopped":
            raise CommandError("container not running")
        group = need_group(record)
        _complete(resources, group)
        if problems := _problems(resources, trees_of(group)):
            raise CommandError("; ".join(f"{each.member}: {each.message}" for each in problems))
        group.apply(resources)
        record.directories = group.directories  # a new limit may have needed one more
        folder.save(record)


def _complete(resources: Resources, group: Cgroup) -> None:
    """Add the limit of memory that is set, where one of memory and swap together is to be."""
    memory = resources.memory
    if memory is not None and memory.limit is None and (memory.swap or 0) > 0:
        present = group.stats().memory
        memory.limit = present.limit if present is not None else None


def _problems(resources: Resources, trees: Hierarchy) -> list[Problem]:
    """What is wrong with the limits; what depends on one that stays as it is, the kernel says."""
    keeps_period = resources.cpu is not None and resources.cpu.period is None
    return [p for p in check(resources, trees) if not (keeps_period and p.member == "cpu.quota")]


def _resources(arguments: Arguments) -> Resources:
    """What was asked for: a document, or options."""
    if arguments.has("resources"):
        return _read(arguments.text("resources"))
    number = arguments.number
    weight = number("blkio-weight")
    pids = number("pids-limit")
    return Resources(
        memory=Memory(
            limit=_size(arguments, "memory"),
            reservation=_size(arguments, "memory-reservation"),
            swap=_size(arguments, "memory-swap"),
            kernel=_size(arguments, "kernel-memory"),
            kernel_tcp=_size(arguments, "kernel-memory-tcp"),
        ),
        cpu=CPU(
            shares=number("cpu-share"),
            quota=number("cpu-quota"),
            burst=number("cpu-burst"),
            period=number("cpu-period"),
            realtime_runtime=number("cpu-rt-runtime"),
            realtime_period=number("cpu-rt-period"),
            cpus=arguments.text("cpuset-cpus") or None,
            mems=arguments.text("cpuset-mems") or None,
            idle=number("cpu-idle"),
        ),
        pids=Pids(limit=pids) if pids is not None else None,
        block_io=BlockIO(weight=weight) if weight is not None else None,
    )


def _read(path: str) -> Resources:
    if path == "-":
        document = sys.stdin.buffer.read()
    else:
        with open(path, "rb") as file:
            document = file.read()
    try:
        return msgspec.json.decode(document, type=Resources)
    except msgspec.DecodeError as error:
        raise CommandError(f"--resources: {error}") from error


def _size(arguments: Arguments, name: str) -> int | None:
    """Bytes, or with a unit such as ``64m``."""
    text = arguments.text(name).lower().removesuffix("b")
    if not text:
        return None
    factor = _UNITS.get(text[-1:], 1)
    try:
        return int(text[:-1] if factor > 1 else text) * factor
    except ValueError:
        raise UsageError(f"--{name}: {arguments.text(name)!r} is not a size, as 64m") from None
