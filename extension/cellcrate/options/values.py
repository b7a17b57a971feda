"""From the text of an option's value to what the Docker Engine API wants.

Every function raises ValueError with a sentence that says what is wrong and what would be right.
"""

from __future__ import annotations

import math
import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = [
    "count",
    "cpus",
    "device",
    "device_weight",
    "duration",
    "environment",
    "environment_file",
    "host_entry",
    "integer",
    "key_value",
    "label",
    "label_file",
    "memory_swap",
    "moment",
    "pids",
    "rate",
    "restart_policy",
    "size",
    "ulimit",
]

# docker's units are powers of 1024, with or without "b" or "ib" (docker/go-units, RAMInBytes).
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?$", re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}

# Go's time.ParseDuration.
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}

RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")


def size(text: str) -> int:
    """Read a number of bytes: ``64m``, ``1.5g``, ``1048576``."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a size. Write a number and a unit (b, k, m, g), such as 64m or 1.5g."
        )
    number, unit = match.groups()
    return int(float(number) * 1024 ** _UNITS[unit.lower()])


def memory_swap(text: str) -> int:
    """Read a number of bytes, or -1 for no limit."""
    return -1 if text.strip() == "-1" else size(text)


def integer(text: str) -> int:
    """Read a whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


def count(text: str) -> int:
    """Read a whole number that is not negative."""
    number = integer(text)
    if number < 0:
        raise ValueError(f"{text!r} is negative; it has to be 0 or more.")
    return number


def pids(text: str) -> int:
    """Read a limit on processes: a number above 0, or -1 for none."""
    number = integer(text)
    if number == 0 or number < -1:
        raise ValueError(f"{text!r} is no limit on processes. Write 1 or more, or -1 for none.")
    return number


def cpus(text: str) -> int:
    """Read a number of processors, ``0.5`` or ``2``, as billionths of one (NanoCpus)."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not math.isfinite(number) or number < 0.001:
        raise ValueError(
            f"{text!r} is not a number of processors. Write a number above 0, such as 0.5 or 2."
        )
    return round(number * 1e9)


def duration(text: str) -> int:
    """Read a length of time, ``500ms`` or ``1m30s``, as nanoseconds."""
    position = total = 0
    for match in _DURATION_PART.finditer(text):
        if match.start() != position:
            break
        total += round(float(match[1]) * _NANOSECONDS[match[2]])
        position = match.end()
    if not text or position != len(text):
        raise ValueError(f"{text!r} is not a length of time. Write 30s, 500ms or 1m30s.")
    return total


def moment(text: str) -> float:
    """Read a moment, as seconds since 1970: ``10m`` (ago), ``2026-05-01T12:00:00`` or a number."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return time.time() - duration(text) / 1e9
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(
            f"{text!r} is no moment. Write how long ago it was (10m), or 2026-05-01T12:00:00."
        ) from None


def environment(text: str) -> str | None:
    """Read ``NAME=VALUE``; ``NAME`` alone takes the kernel's own value, None where it has none."""
    name, equals, _ = text.partition("=")
    if not name or "\0" in text:
        raise ValueError(f"{text!r} has no name. Write NAME=VALUE.")
    if equals:
        return text
    return f"{name}={os.environ[name]}" if name in os.environ else None


def environment_file(text: str) -> list[str]:
    """Read a file of ``NAME=VALUE`` lines; empty lines and those that start with # are skipped."""
    lines = _file(text).splitlines()
    wanted = [line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [entry for entry in map(environment, wanted) if entry is not None]


def _file(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not a text file in UTF-8.") from None


def label_file(text: str) -> list[tuple[str, str]]:
    """Read a file of ``NAME=VALUE`` lines."""
    return [label(line) for line in _file(text).splitlines() if line.strip()]


def label(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE`` or ``NAME``."""
    name, _, value = text.partition("=")
    if not name:
        raise ValueError(f"{text!r} has no name. Write NAME=VALUE.")
    return name, value


def key_value(text: str) -> tuple[str, str]:
    """Read ``NAME=VALUE``, both of which have to be there."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not of the form NAME=VALUE.")
    return name, value


def restart_policy(text: str) -> dict[str, Any]:
    """Read ``no``, ``always``, ``unless-stopped`` or ``on-failure[:TIMES]``."""
    name, colon, times = text.partition(":")
    if name not in RESTART_POLICIES or (colon and name != "on-failure"):
        raise ValueError(
            f"{text!r} is no restart policy. "
            "Write no, always, unless-stopped, on-failure or on-failure:3."
        )
    return {"Name": name, "MaximumRetryCount": count(times) if colon else 0}


def ulimit(text: str) -> dict[str, Any]:
    """Read ``NAME=SOFT[:HARD]``."""
    name, limits = key_value(text)
    soft, _, hard = limits.partition(":")
    return {"Name": name, "Soft": integer(soft), "Hard": integer(hard or soft)}


def device(text: str) -> dict[str, str]:
    """Read ``HOST[:CONTAINER][:PERMISSIONS]``."""
    host, *rest = text.split(":")
    permissions = "rwm"
    if rest and rest[-1] and set(rest[-1]) <= set("rwm"):
        permissions = rest.pop()
    if not host.startswith("/") or len(rest) > 1:
        raise ValueError(f"{text!r} is no device. Write /dev/NAME, or /dev/NAME:/dev/OTHER:rw.")
    return {
        "PathOnHost": host,
        "PathInContainer": rest[0] if rest else host,
        "CgroupPermissions": permissions,
    }


def rate(text: str) -> dict[str, Any]:
    """Read ``DEVICE:RATE``, where the rate is a number with an optional unit of size."""
    path, number = _of_device(text, "rate")
    return {"Path": path, "Rate": size(number)}


def device_weight(text: str) -> dict[str, Any]:
    """Read ``DEVICE:WEIGHT``."""
    path, number = _of_device(text, "weight")
    return {"Path": path, "Weight": count(number)}


def _of_device(text: str, what: str) -> tuple[str, str]:
    path, colon, number = text.rpartition(":")
    if not colon or not path.startswith("/"):
        raise ValueError(f"{text!r} is no {what} of a device. Write /dev/NAME:{what.upper()}.")
    return path, number


def host_entry(text: str) -> str:
    """Read ``NAME:ADDRESS`` or, as newer docker has it, ``NAME=ADDRESS``."""
    name, _, address = text.partition("=") if "=" in text else text.partition(":")
    if not name or not address:
        raise ValueError(f"{text!r} is not of the form NAME:ADDRESS.")
    return f"{name}:{address}"
