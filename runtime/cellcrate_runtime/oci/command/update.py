"""``update``: change the limits of a container while it runs."""

from __future__ import annotations

import sys

import msgspec

from cellcrate_runtime.linux.cgroups import Resources, check
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
        if problems := check(resources, trees_of(group)):
            raise CommandError("; ".join(f"{each.member}: {each.message}" for each in problems))
        group.apply(resources)
        record.directories = group.directories  # a new limit may have needed one more
        folder.save(record)


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
