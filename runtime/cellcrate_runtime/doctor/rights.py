"""Who asks: root over the whole machine, or somebody who first needs a user namespace."""

from __future__ import annotations

import os

from cellcrate_runtime.linux import mounts, namespaces, rootless

from .runner import Lacking

__all__ = ["NO_USER_NAMESPACE", "become_maker", "is_root", "new_mount_namespace"]

NO_USER_NAMESPACE = "It takes a user namespace first."
"""The reason of what fails only because user namespaces do."""

_CAP_SYS_ADMIN = 21  # linux/capability.h


def is_root() -> bool:
    """Whether this process may make containers without a user namespace.

    Root in a sandbox often may not: it lacks capabilities, or is root of a user namespace alone.
    """
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map") as file:
        if file.read().split() != ["0", "0", "4294967295"]:
            return False
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN & 1)
    return False


def become_maker() -> None:
    """Get the rights of a launcher: root has them, others enter a user namespace.

    Raises:
        Lacking: There is no user namespace to be had.
    """
    if not is_root():
        try:
            rootless.enter_user_namespace()
        except OSError as error:
            raise Lacking("missing", NO_USER_NAMESPACE) from error


def new_mount_namespace() -> None:
    """Leave for a mount namespace whose mounts nobody else sees.

    Raises:
        OSError: The kernel, or a sandbox around this process, does not allow it.
    """
    namespaces.unshare(namespaces.FLAGS["mount"])
    mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
