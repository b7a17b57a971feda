"""``events``: what a container uses, and that it met its memory limit, as lines of JSON."""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

import msgspec

from cellcrate_runtime.linux.cgroups import BlkioEntry, Cgroup, CgroupNotFoundError, CgroupStats
from cellcrate_runtime.linux.cgroups.pressure import Pressure
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError, UsageError
from cellcrate_runtime.oci.command.groups import need_group
from cellcrate_runtime.oci.command.settings import Settings
from cellcrate_runtime.oci.command.status import status_of
from cellcrate_runtime.oci.command.store import Folder

__all__ = ["events"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def events(settings: Settings, arguments: Arguments) -> None:
    """Print statistics once, or at each interval until the container ends."""
    interval = _seconds(arguments.text("interval", "5s"))
    folder = Folder(settings.root, arguments.id)
    record = folder.load()
    if status_of(folder, record) == "stopped":
        raise CommandError(f"container with id {folder.id} is not running")
    group = need_group(record)
    if arguments.has("stats"):
        _print("stats", folder.id, _members(group.stats(), group.pressure()))
        return
    kills = group.oom_kills()
    while status_of(folder, record) != "stopped":
        try:
            _print("stats", folder.id, _members(group.stats(), group.pressure()))
            kills = _wait(folder.id, group, kills, interval)
        except (CgroupNotFoundError, BrokenPipeError):
            return


def _wait(container_id: str, group: Cgroup, kills: int, interval: float) -> int:
    """Wait for the next interval, saying of each kill at once."""
    until = time.monotonic() + interval
    watch = group.oom_watch()
    if watch is None:
        time.sleep(interval)
        return kills
    with watch:
        while (left := until - time.monotonic()) > 0:
            select.select([watch], [], [], left)
            try:
                now = watch.kills()
            except OSError:
                return kills  # the group is gone
            if now > kills:
                _print("oom", container_id, None)
            kills = now
    return kills


def _seconds(text: str) -> float:
    """A time as Go writes it, such as ``5s``."""
    digits = text.rstrip("mhs")
    try:
        seconds = float(digits) * _UNITS[text[len(digits) :] or "s"]
    except (ValueError, KeyError):
        raise UsageError(f"--interval: {text!r} is not a time, as 5s") from None
    if seconds <= 0:
        raise UsageError("--interval: it must be greater than 0")
    return seconds


def _print(type_: str, container_id: str, data: dict[str, Any] | None) -> None:
    document: dict[str, Any] = {"type": type_, "id": container_id}
    if data is not None:
        document["data"] = data
    print(json.dumps(document, separators=(",", ":")))
    sys.stdout.flush()


def _members(stats: CgroupStats, pressure: dict[str, Pressure] | None) -> dict[str, Any]:
    """The members that runc's have; a controller that is not there has none."""
    members: dict[str, Any] = {}
    if (cpu := stats.cpu) is not None:
        members["cpu"] = {
            "usage": {
                "total": cpu.usage,
                "percpu": cpu.per_cpu or [],
                "kernel": cpu.system,
                "user": cpu.user,
            },
            "throttling": {
                "periods": cpu.periods,
                "throttledPeriods": cpu.throttled_periods,
                "throttledTime": cpu.throttled,
            },
        }
    if (memory := stats.memory) is not None:
        members["memory"] = {
            "cache": memory.stat.get("cache", memory.stat.get("file", 0)),
            "usage": {
                "limit": memory.limit if memory.limit is not None else (1 << 64) - 1,
                "usage": memory.usage,
                "max": memory.max_usage or 0,
                "failcnt": memory.fail_count,
            },
            "swap": {"usage": memory.swap or 0},
            "raw": memory.stat,
        }
    if (pids := stats.pids) is not None:
        members["pids"] = {"current": pids.current, "limit": pids.limit or 0}
    members["blkio"] = {
        "ioServiceBytesRecursive": [_entry(each) for each in stats.io_bytes],
        "ioServicedRecursive": [_entry(each) for each in stats.io_operations],
    }
    for resource, member in (("cpu", "cpu"), ("memory", "memory"), ("io", "blkio")):
        if pressure is not None and member in members:
            members[member]["psi"] = msgspec.to_builtins(pressure[resource])
    return members


def _entry(entry: BlkioEntry) -> dict[str, Any]:
    return {
        "major": entry.major,
        "minor": entry.minor,
        "op": entry.op.capitalize(),
        "value": entry.value,
    }
