"""Asking the user's systemd for a delegated control group.

``busctl``, which comes with systemd, makes the two D-Bus calls; a D-Bus library would be a
dependency for them alone.

Source: org.freedesktop.systemd1(5), StartTransientUnit and AttachProcessesToUnit.
"""

from __future__ import annotations

import os
import subprocess
import time

from . import files
from .errors import CgroupError
from .hierarchy import LEAF, own_path

__all__ = ["SCOPE", "available", "delegated_controllers", "enter_scope"]

SCOPE = "cellcrate.scope"
"""One scope a user: an engine that is started anew finds the containers of the last one there."""

_MANAGER = (
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
)
_TIMEOUT = 5.0


def _environment() -> dict[str, str]:
    """Return the environment in which busctl finds the user's bus, also after ``su``."""
    environment = dict(os.environ)
    environment.setdefault("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    return environment


def available() -> bool:
    """Whether the user has a systemd that can be asked."""
    runtime = _environment()["XDG_RUNTIME_DIR"]
    return os.path.exists(f"{runtime}/systemd/private") or os.path.exists(f"{runtime}/bus")


def delegated_controllers() -> list[str]:
    """Return the controllers that the user's systemd has, and so can delegate."""
    uid = os.geteuid()
    try:
        return files.read(
            f"/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service", "cgroup.controllers"
        ).split()
    except OSError:
        return []


def enter_scope() -> None:
    """Move this process into the user's delegated scope, which is made if there is none.

    Raises:
        CgroupError: There is no systemd for this user, or it refuses.
    """
    if not available():
        raise CgroupError("This user has no systemd to ask for a control group.")
    pid = str(os.getpid())
    try:
        _call(
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            [
                *(SCOPE, "fail", "4"),
                *("Description", "s", "Containers of Cellcrate"),
                *("Delegate", "b", "true"),
                *("CollectMode", "s", "inactive-or-failed"),
                *("PIDs", "au", "1", pid),
                "0",
            ],
        )
    except CgroupError as error:
        if "exist" not in str(error) and "already loaded" not in str(error):
            raise
        _call("AttachProcessesToUnit", "ssau", [SCOPE, f"/{LEAF}", "1", pid])
    _wait_until_inside()


def _call(method: str, signature: str, arguments: list[str]) -> None:
    command = ["busctl", "--user", "--quiet", f"--timeout={_TIMEOUT:.0f}", "call", *_MANAGER]
    try:
        done = subprocess.run(
            [*command, method, signature, *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT + 1,
            check=False,
        )
    except FileNotFoundError as error:
        raise CgroupError("busctl, a part of systemd, is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise CgroupError("The user's systemd does not answer.") from error
    if done.returncode != 0:
        raise CgroupError(f"The user's systemd refuses: {done.stderr.strip()}")


def _wait_until_inside() -> None:
    """Wait until systemd, which answers before it acts, has moved us."""
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if SCOPE in own_path().split("/"):
            return
        time.sleep(0.01)
    raise CgroupError("The user's systemd made no control group in time.")
