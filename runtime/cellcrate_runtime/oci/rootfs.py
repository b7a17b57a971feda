"""The container's file system, built around its root and then entered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from cellcrate_runtime.linux import mounts, recording, safe_paths
from cellcrate_runtime.oci import devices, masks
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.mount_options import PROPAGATION
from cellcrate_runtime.oci.mounts import Outside, PreparedMount, is_dev, perform
from cellcrate_runtime.oci.spec import Linux

__all__ = ["attach_root", "build", "enter", "open_root", "protect_dev"]


def open_root(path: str, propagation: str = "") -> int:
    """The root as a detached mount of its own, opened before the container exists.

    By then the container's root may not be able to reach the path, which is the caller's. With
    ``slave`` it goes on to receive what is mounted below the path outside, and else it is private.
    """
    tree = mounts.open_tree(path, clone=True, recursive=True)
    try:
        mounts.set_attributes(tree, propagation=_reach(propagation), recursive=True)
    except BaseException:
        os.close(tree)
        raise
    return tree


def attach_root(root: int, propagation: str, path: str = "") -> Outside:
    """Give the root a place in this (new) mount namespace, where nothing made reaches the host.

    Its place is on top of the host's root, the one folder that surely exists and can be reached;
    or ``path``, where hooks look for it.

    Returns:
        Places outside the root, which go with the rest of the host's when that is left.
    """
    mounts.set_propagation("/", _reach(propagation) | mounts.MS_REC)
    outside = Outside.open()
    mounts.attach(root, path or "/")
    return outside


def attach_shared_root(root: int, path: str) -> None:
    """Give the root its place in a mount namespace that is not the container's alone."""
    mounts.attach(root, path)
    # Or what is mounted in it would reach the copies that other namespaces have of this place.
    mounts.set_attributes(root, propagation=mounts.MS_PRIVATE, recursive=True)


def _reach(propagation: str) -> int:
    """What is left of the host's propagation while the container is made."""
    return mounts.MS_SLAVE if propagation in ("slave", "rslave") else mounts.MS_PRIVATE


def build(
    root: int,
    linux: Linux,
    prepared: Iterable[PreparedMount],
    outside: Outside | None,
    *,
    may_make_nodes: bool,
    doing: Callable[[str], None],
) -> None:
    """Mount everything below the root, make devices, hide and protect paths.

    Args:
        root: The attached root.
        linux: The configuration.
        prepared: Its mounts, in order.
        outside: What :func:`attach_root` returned; None where the namespace is shared.
        may_make_nodes: Whether mknod(2) works here.
        doing: Told what is being done, for messages.
    """
    dev: PreparedMount | None = None
    for each in prepared:
        destination = each.mount.destination
        doing(f"cannot mount {each.mount.source or each.mount.type} at {destination}")
        perform(root, each, outside)
        if is_dev(each.mount):
            dev = each
    doing("cannot make the devices of /dev")
    if dev is None or dev.tree is None:
        devices.make_devices(root, linux.devices, may_make_nodes=may_make_nodes)
    elif not dev.has_devices and linux.devices:
        raise OCIError("linux.devices: /dev is a bind mount, and its devices are the host's")
    doing("cannot hide linux.maskedPaths")
    masks.hide(root, linux.masked_paths)
    doing("cannot protect linux.readonlyPaths")
    masks.make_read_only(root, linux.readonly_paths)


def protect_dev(root: int, prepared: Iterable[PreparedMount]) -> None:
    """Make ``/dev`` read-only if it is to be, when everything is in it."""
    for each in prepared:
        if each.protected_later:
            place = safe_paths.open_inside(root, each.mount.destination)
            try:
                mounts.set_attributes(place, set_=mounts.ATTR_RDONLY)
            finally:
                os.close(place)


def make_working_directory(root: int, path: str) -> None:
    """Make the folder that the program starts in, if it is missing."""
    os.close(safe_paths.make_directory(root, path))


def enter(root: int, *, read_only: bool, propagation: str, pivot: bool = True) -> None:
    """Make the root this process's ``/``; from here on nothing of the host has a path.

    Without ``pivot`` the host's root stays mounted underneath.
    """
    if read_only:
        mounts.set_attributes(root, set_=mounts.ATTR_RDONLY)
    if pivot:
        mounts.pivot_into(root)
    else:
        os.fchdir(root)
        os.chroot(".")
        if recording.active is not None:
            recording.active.note("chroot", target=recording.path_of(root))
    if propagation:
        mounts.set_propagation("/", PROPAGATION[propagation])
