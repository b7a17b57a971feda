"""Asking systemd, through ``busctl``, which comes with it; a D-Bus library would be a dependency.

Source: org.freedesktop.systemd1(5), "The Manager Object".
"""

from __future__ import annotations

import os
import subprocess
import time

from .. import idmap
from .errors import CgroupError
from .hierarchy import paths_of
from .properties import Property

__all__ = [
    "TIMEOUT",
    "UnitExistsError",
    "UnitMissingError",
    "available",
    "call",
    "properties",
    "wait_until_in",
]

TIMEOUT = 30.0
"""Seconds for systemd to answer, and for what it answered to happen."""

_MANAGER = (
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
)


class UnitExistsError(CgroupError):
    """There is a unit of this name."""


class UnitMissingError(CgroupError):
    """There is no unit of this name."""


def available() -> bool:
    """Whether this user, who is not root, has a systemd that can be asked."""
    runtime = _environment()["XDG_RUNTIME_DIR"]
    return os.path.exists(f"{runtime}/systemd/private") or os.path.exists(f"{runtime}/bus")


def call(method: str, signature: str, arguments: list[str], *, user: bool) -> None:
    """Call a method of systemd's manager.

    Args:
        method: Its name.
        signature: The types of its arguments.
        arguments: As busctl(1) takes them.
        user: Ask the systemd of this user, and not that of the machine.

    Raises:
        UnitExistsError, UnitMissingError: As they say.
        CgroupError: There is no systemd, or it refuses.
    """
    whose = "user's" if user else "machine's"
    command = ["busctl", "--user" if user else "--system", "--quiet", f"--timeout={TIMEOUT:.0f}"]
    try:
        done = subprocess.run(
            [*command, "call", "--", *_MANAGER, method, signature, *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT + 1,
            check=False,
        )
    except FileNotFoundError as error:
        raise CgroupError("busctl, a part of systemd, is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise CgroupError(f"The {whose} systemd does not answer.") from error
    if done.returncode != 0:
        raise _refusal(f"The {whose} systemd refuses: {done.stderr.strip()}")


def _refusal(message: str) -> CgroupError:
    if "already exists" in message or "already loaded" in message:
        return UnitExistsError(message)
    if "not loaded" in message or "not found" in message:
        return UnitMissingError(message)
    return CgroupError(message)


def properties(*given: Property) -> list[str]:
    """Properties as an argument: an array of names with values."""
    return [str(len(given)), *(word for each in given for word in each)]


def wait_until_in(unit: str, pid: int) -> str:
    """Wait until systemd, which answers before it acts, has moved a process into a unit.

    Returns:
        The control group of the process, in the v2 tree.

    Raises:
        CgroupError: It did not.
    """
    deadline = time.monotonic() + TIMEOUT
    pause = 0.001
    while True:
        path = _path_of(pid)
        if unit in path.split("/"):
            return path
        if time.monotonic() > deadline:
            raise CgroupError(f"systemd made no control group for {unit} in time.")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _path_of(pid: int) -> str:
    try:
        return paths_of(pid).get("", "/")
    except (FileNotFoundError, ProcessLookupError):
        raise CgroupError("The process ended before systemd had moved it.") from None


def _environment() -> dict[str, str]:
    """The environment in which busctl finds the user's bus, also after ``su``."""
    environment = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{_uid_outside()}")
    return environment


def _uid_outside() -> int:
    """This user as the machine knows them, also where they are root of a user namespace."""
    own = os.geteuid()
    outside = idmap.translate(idmap.own_ranges("uid"), own)
    return own if outside is None else outside
