"""Asking the user's systemd for a delegated control group to make containers' groups in.

Source: org.freedesktop.systemd1(5), StartTransientUnit and AttachProcessesToUnit.
"""

from __future__ import annotations

import os

from . import bus, files
from .bus import available
from .errors import CgroupError
from .hierarchy import LEAF

__all__ = ["SCOPE", "available", "delegated_controllers", "enter_scope"]

SCOPE = "cellcrate.scope"
"""One scope a user: an engine that is started anew finds the containers of the last one there."""


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
    wanted = bus.properties(
        ("Description", "s", "Containers of Cellcrate"),
        ("Delegate", "b", "true"),
        ("CollectMode", "s", "inactive-or-failed"),
        ("PIDs", "au", "1", pid),
    )
    try:
        bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", [SCOPE, "fail", *wanted, "0"], user=True)
    except bus.UnitExistsError:
        bus.call("AttachProcessesToUnit", "ssau", [SCOPE, f"/{LEAF}", "1", pid], user=True)
    bus.wait_until_in(SCOPE, os.getpid())
