"""A container's root file system, mounted where only the process that needs it can see it."""

from __future__ import annotations

import contextlib
import os
from functools import cache

from cellcrate_runtime.engine.protocol import Rootfs
from cellcrate_runtime.linux import idmap, mounts, namespaces, overlay
from cellcrate_runtime.linux.idmap import IDRange

__all__ = ["hide_mounts_from_host", "in_user_namespace", "mount_layers", "user_namespace"]

_EVERY_ID = ["0", "0", "4294967295"]


def hide_mounts_from_host() -> None:
    """Enter a new mount namespace: what is mounted from now on ends with this process.

    What the host unmounts still vanishes here too, so that no container keeps a disk busy that
    somebody wants to take out; see mount_namespaces(7), "MS_SLAVE".
    """
    namespaces.unshare(namespaces.FLAGS["mount"])
    mounts.set_propagation("/", mounts.MS_SLAVE | mounts.MS_REC)


def mount_layers(layers: Rootfs, owners: int | None = None) -> None:
    """Mount an overlay of layers at its mount point, which is made if missing.

    Args:
        layers: What to mount.
        owners: A user namespace that the files' owners are translated to, if they are to be.

    Raises:
        OSError: The kernel refused; nothing is mounted.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(layers.mount_point, 0o700)
    overlay.mount_overlay(
        layers.lower,
        layers.upper,
        layers.work,
        layers.mount_point,
        userxattr=in_user_namespace(),
        idmap_userns_fd=owners if layers.idmap else None,
        # Device nodes of an image are for the machine's root. To others they are what they would be
        # if the namespace had mounted this: names. Not every machine has control groups to say so.
        attributes=mounts.ATTR_NODEV if layers.idmap or layers.shift is not None else 0,
    )


@cache
def user_namespace(uids: tuple[IDRange, ...], gids: tuple[IDRange, ...]) -> int:
    """A user namespace with these mappings, kept for the next who asks; see user_namespaces(7)."""
    return idmap.make_user_namespace(list(uids), list(gids))


@cache
def in_user_namespace() -> bool:
    """Whether this process's ids are not the machine's; see user_namespaces(7)."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != _EVERY_ID
