"""``/sys/fs/cgroup`` in a container: its own group, as the top of the tree.

In a cgroup namespace of its own a container sees its group as the root of every tree that is
mounted (cgroup_namespaces(7)). Without one, the folder of its group is mounted in place of a v1
tree, as runc and crun do; the v2 tree alone is then the host's. Folders are as on the host: one
tree (v2), a folder for each controller (v1), or both (hybrid).
"""

from __future__ import annotations

import functools
import os

import msgspec

from cellcrate_runtime.linux import mounts, safe_paths
from cellcrate_runtime.linux.cgroups.hierarchy import (
    Mount,
    cgroup_mounts,
    own_directory,
    own_paths,
)

__all__ = ["mount_at", "remember_layout"]

_TOP = "/sys/fs/cgroup"
_SAFE = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


class _Hierarchy(msgspec.Struct, frozen=True):
    """One mounted tree: the folder's name, the file system's options, and whence it was read.

    Attributes:
        name: What ``/proc/self/cgroup`` calls it.
    """

    folder: str
    mounted: Mount
    name: str
    options: str
    links: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The file system's type: ``cgroup`` or ``cgroup2``."""
        return self.mounted.kind


@functools.cache
def remember_layout() -> tuple[_Hierarchy, ...]:
    """How the host has its trees mounted; empty where there is the v2 tree alone.

    Read once, before the first container, since it does not change while the machine runs.
    """
    below_top = [each for each in cgroup_mounts() if each.point.startswith(_TOP + "/")]
    return tuple(_hierarchy(each) for each in below_top)


def _hierarchy(mounted: Mount) -> _Hierarchy:
    folder = mounted.point.removeprefix(_TOP + "/")
    if mounted.kind == "cgroup2":
        return _Hierarchy(folder, mounted, "", "")
    words = [word for word in mounted.options if word not in ("rw", "ro", "xattr")]
    words = [word for word in words if not word.startswith(("release_agent=", "clone_children"))]
    name, links = words[0], tuple(words) if len(words) > 1 else ()
    if all(word.startswith("name=") for word in words):
        words.insert(0, "none")
    return _Hierarchy(folder, mounted, name, ",".join(words), links)


def mount_at(root: int, place: int, destination: str, flags: int) -> None:
    """Mount the container's group on the open folder ``place``, which is ``destination``."""
    layout = remember_layout()
    if not layout:
        _mount_unified(place, flags)
        return
    options = "mode=755,size=64k"
    mounts.mount_here("tmpfs", place, "tmpfs", _SAFE, options)
    top = safe_paths.open_inside(root, destination, os.O_PATH | os.O_DIRECTORY)
    try:
        own = own_paths()
        for hierarchy in layout:
            _mount_hierarchy(top, hierarchy, flags, own.get(hierarchy.name, "/"))
        if flags & mounts.MS_RDONLY:
            mounts.set_attributes(top, set_=mounts.ATTR_RDONLY)
    finally:
        os.close(top)


def _mount_unified(place: int, flags: int) -> None:
    try:
        mounts.mount_here("cgroup2", place, "cgroup", flags)
    except PermissionError:
        # The host's cgroup namespace is the container's, and belongs to another user namespace.
        _take(place, _TOP, flags)


def _mount_hierarchy(top: int, hierarchy: _Hierarchy, flags: int, own: str) -> None:
    os.fchdir(top)
    os.mkdir(hierarchy.folder, 0o755)
    source = own_directory(hierarchy.mounted, own)
    if own != "/":  # and so is not the top of a cgroup namespace
        _take_into(hierarchy.folder, source, flags)
    else:
        try:
            mounts.mount("cgroup", hierarchy.folder, hierarchy.type, flags, hierarchy.options)
        except PermissionError:
            _take_into(hierarchy.folder, source, flags)
    for link in hierarchy.links:
        if link != hierarchy.folder:
            os.symlink(hierarchy.folder, link)


def _take_into(folder: str, source: str, flags: int) -> None:
    place = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        _take(place, source, flags)
    finally:
        os.close(place)


def _take(place: int, source: str, flags: int) -> None:
    """Mount what the host has, read-only if asked."""
    set_ = mounts.ATTR_NOSUID | mounts.ATTR_NODEV | mounts.ATTR_NOEXEC
    if flags & mounts.MS_RDONLY:
        set_ |= mounts.ATTR_RDONLY
    mounts.bind(source, place, recursive=True, set_=set_)
