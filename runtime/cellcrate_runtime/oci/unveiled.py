"""The host's proc and sysfs, where they stay mounted beneath a container's root.

In a user namespace that it makes, a container may mount a new proc or sysfs only if its mount
namespace has one with nothing of it covered (``mount_too_revealing`` in the kernel's
fs/namespace.c). Much of the container's own is covered. The host's, beneath a root that was entered
by chroot(2), is not, and would give the container a way to all that is masked.
"""

from __future__ import annotations

import contextlib
import os

from cellcrate_runtime.linux import mount_table, mounts
from cellcrate_runtime.linux.mount_table import Mount
from cellcrate_runtime.oci.errors import OCIError

__all__ = ["hide_outside", "namespace"]

_TELLING = ("proc", "sysfs")
_NOTHING_IN_IT = mounts.MS_RDONLY | mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


def namespace() -> int:
    """What this process's mount namespace is told from others by."""
    return os.stat("/proc/self/ns/mnt").st_ino


def hide_outside(root: int, *, makers: int) -> None:
    """Let go of every proc and sysfs of this mount namespace that is not below an attached root.

    Where they are the mounts of another user namespace's, and locked, they are covered instead.

    Args:
        root: The container's.
        makers: The mount namespace of the container's maker, which must be another one.

    Raises:
        OCIError: It is this one: the host itself would lose them.
    """
    if namespace() == makers:
        raise OCIError("the host's /proc would be hidden: the mount namespace is not a new one")
    found = list(mount_table.read())
    inside = _below(mounts.id_of(root), found)
    for mount in found:
        if mount.type in _TELLING and mount.id not in inside:
            try:
                mounts.unmount(mount.point, mounts.MNT_DETACH)
            except OSError:
                # Gone with another, or locked.
                with contextlib.suppress(FileNotFoundError):
                    mounts.mount("tmpfs", mount.point, "tmpfs", _NOTHING_IN_IT, "size=0")


def _below(top: int, found: list[Mount]) -> set[int]:
    inside = {top}
    while added := {m.id for m in found if m.parent in inside} - inside:
        inside |= added
    return inside
