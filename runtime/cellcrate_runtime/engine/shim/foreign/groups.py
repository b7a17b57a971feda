"""A container's control group as other runtimes name it, and those that they make beside it.

A runtime makes a group in every cgroup v1 tree of the machine, also in those that limit nothing,
such as systemd's; one that fails half-way may leave them.
"""

from __future__ import annotations

import contextlib
import os

from cellcrate_runtime.linux.cgroups import Cgroup
from cellcrate_runtime.linux.cgroups.hierarchy import cgroup_mounts

__all__ = ["path_in_tree", "remove_beside"]


def path_in_tree(cgroup: Cgroup) -> str:
    """Return where a group is below the top of its tree, which is what others call its path."""
    directory = top = next(iter(cgroup.directories.values()))
    while not os.path.ismount(top):
        top = os.path.dirname(top)
    return directory[len(top) :]


def remove_beside(path: str, cgroup: Cgroup) -> None:
    """Remove the empty groups of a path in the trees that the container's own group is not in.

    Those above go too where they are empty then, for the embedded runtime has none there.
    """
    own = set(cgroup.directories.values())
    for top in (mounted.point for mounted in cgroup_mounts()):
        folder = path
        with contextlib.suppress(OSError):  # there is none, or somebody is in it
            while folder.strip("/") and top + path not in own:
                os.rmdir(top + folder)
                folder = os.path.dirname(folder)
