"""The volumes of a container that does not run, as its processes would see them."""

from __future__ import annotations

import os
import stat

from cellcrate_runtime.linux import mounts, safe_paths
from cellcrate_runtime.oci import spec

__all__ = ["mount_points", "mount_volumes"]


def mount_volumes(bundle: str, root: str, owners: int | None = None) -> None:
    """Bind the folders and files of the host that a container has mounted.

    Args:
        bundle: The folder of its config.json.
        root: Its root file system, mounted where only this process sees it.
        owners: The user namespace that they will be looked at from; None for the host's.

    Raises:
        OSError: A volume's source is gone, or the kernel refused.
    """
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for one in _read(bundle).mounts:
            if one.type == "bind" or "bind" in one.options or "rbind" in one.options:
                _bind(one, root_fd, owners)
    finally:
        os.close(root_fd)


def mount_points(bundle: str) -> list[str]:
    """The paths on which a container has something mounted; none where it was never configured."""
    try:
        return [os.path.normpath(one.destination) for one in _read(bundle).mounts]
    except FileNotFoundError:
        return []


def _read(bundle: str) -> spec.Spec:
    with open(f"{bundle}/config.json", "rb") as file:
        return spec.decode(file.read())


def _bind(one: spec.Mount, root: int, owners: int | None) -> None:
    source = mounts.open_tree(one.source, clone=True, recursive="rbind" in one.options)
    try:
        if owners is not None and "idmap" in one.options:
            mounts.set_attributes(source, idmap=owners)
        if "ro" in one.options:
            mounts.set_attributes(source, set_=mounts.ATTR_RDONLY)
        make = (
            safe_paths.make_directory
            if stat.S_ISDIR(os.stat(one.source).st_mode)
            else safe_paths.make_file
        )
        target = make(root, one.destination)
        try:
            mounts.attach(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
