"""Where this process may make control groups, and with which controllers.

A machine has cgroup v2 (one tree for all controllers), cgroup v1 (a tree for each), or both
("hybrid": v1 trees for the controllers, and a v2 tree that has few of them but does more). A
process may use the trees that it can write to: root's, or what was delegated to it.

Source: cgroups(7); Documentation/admin-guide/cgroup-v2.rst, section "Delegation".
"""

from __future__ import annotations

import os
from functools import cache
from typing import Literal

import msgspec

from .. import mount_table
from . import files
from .errors import CgroupError, ControllerUnavailableError

__all__ = [
    "LEAF",
    "Hierarchy",
    "Mount",
    "Place",
    "cgroup_mounts",
    "discover",
    "hierarchy",
    "own_directories",
    "own_directory",
    "own_leaf",
    "own_path",
    "own_paths",
    "paths_of",
]

LEAF = "cellcrate-host"
"""The cgroup that holds the processes of a delegated subtree.

In cgroup v2 a cgroup with controllers for its children has no processes itself, so the engine
and its helpers live in this leaf beside the containers.
"""

_USUAL_PLACE = "/sys/fs/cgroup"
# What cgroup v1 calls differently; everything else has one name in both.
_V1_NAMES = {"blkio": "io"}
_DELEGATE = (
    "Start the engine where systemd delegates one: "
    "`systemd-run --user --scope -p Delegate=yes cellcrate engine run`, or as root; "
    "or start the container without limits."
)
# The files of a v2 cgroup that its new owner gets, so that it can divide it.
_DELEGATED = ("cgroup.procs", "cgroup.subtree_control")
_V1_CONTROLLERS = frozenset(
    {
        *("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "devices", "freezer", "hugetlb"),
        *("net_cls", "net_prio", "rdma"),
    }
)


class Place(msgspec.Struct, frozen=True):
    """Where one controller's cgroups are made."""

    version: Literal[1, 2]
    root: str
    writable: bool


class Hierarchy(msgspec.Struct, frozen=True):
    """The trees of this machine, seen from this process."""

    kind: Literal["v1", "v2", "hybrid", "none"]
    controllers: dict[str, Place]
    """By the names of cgroup v2 (``io``, not ``blkio``); ``cpuacct`` and ``freezer`` are v1's."""
    unified: str | None = None
    """The directory of the v2 tree under which cgroups may be made, or None."""
    reason: str = ""
    """Why no control group can be made; empty where some can."""

    @property
    def writable(self) -> bool:
        """Whether any control group can be made at all."""
        return self.unified is not None or any(p.writable for p in self.controllers.values())

    def has(self, controller: str) -> bool:
        """Whether limits of this controller can be set."""
        place = self.controllers.get(controller)
        return place is not None and place.writable

    def require(self, controller: str) -> Place:
        """Return where a controller's cgroups are made.

        Raises:
            ControllerUnavailableError: It is not there, or may not be written.
        """
        place = self.controllers.get(controller)
        if place is not None and place.writable:
            return place
        raise self.unavailable(controller)

    def unavailable(self, controller: str) -> ControllerUnavailableError:
        """Say why a controller cannot be used, and what would mend it."""
        if self.writable and controller not in self.controllers:
            there = ", ".join(sorted(self.controllers)) or "none"
            return ControllerUnavailableError(
                controller,
                f"the control groups that may be used here have no {controller} controller "
                f"(there are: {there}).",
                "Run `cellcrate doctor` to see how to get it.",
            )
        reason = self.reason or f"this user may not change the {controller} control groups."
        if self.kind == "v2":
            return ControllerUnavailableError(controller, reason, _DELEGATE)
        return ControllerUnavailableError(
            controller,
            reason,
            "Start the engine as root, or the container without limits.",
        )

    def without_file(self, name: str) -> CgroupError:
        """Say why there is no such control file in the v2 tree."""
        controller = name.partition(".")[0]
        place = self.controllers.get(controller)
        if place is None or place.version == 2:
            return self.unavailable(controller)
        return CgroupError(
            f"invalid configuration: unified: {name} is a setting of cgroup v2, and this machine "
            f"has the {controller} controller in cgroup v1."
        )


class Mount(msgspec.Struct, frozen=True):
    """Where a cgroup file system is mounted, and which part of it."""

    root: str
    point: str
    kind: str  # cgroup or cgroup2
    options: list[str]


def cgroup_mounts() -> list[Mount]:
    """Return the cgroup mounts.

    Those in the usual place come first: others are what somebody else was given to see of them.
    """
    mounted = mount_table.read(("cgroup", "cgroup2"))
    found = [Mount(each.root, each.point, each.type, each.options) for each in mounted]
    return sorted(found, key=lambda mount: not mount.point.startswith(_USUAL_PLACE))


def own_paths() -> dict[str, str]:
    """Return this process's cgroup in each tree, by controller; the v2 tree's key is ''."""
    return paths_of("self")


def paths_of(pid: int | str) -> dict[str, str]:
    """Return the same for another process, as this one sees it.

    Raises:
        FileNotFoundError, ProcessLookupError: It has ended.
    """
    paths = {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                paths[controller] = path
    return paths


def own_directory(mount: Mount, path: str) -> str:
    """Return where a mount shows a cgroup, and the mount's top where it does not show it."""
    if mount.root != "/":
        if path != mount.root and not path.startswith(mount.root + "/"):
            return mount.point
        path = path[len(mount.root) :]
    if path.startswith("/.."):  # above the cgroup namespace
        return mount.point
    directory = mount.point + path.rstrip("/")
    return directory if os.path.isdir(directory) else mount.point


def own_path() -> str:
    """Return this process's cgroup in the v2 tree."""
    return own_paths().get("", "/")


def own_directories() -> dict[str, str]:
    """Return where this process's own cgroups are: by v1 controller, and under '' in the v2 tree.

    In a sandbox, these have the limits of the sandbox, where it lets them be seen.
    """
    own = own_paths()
    directories: dict[str, str] = {}
    for mount in cgroup_mounts():
        names = [""] if mount.kind == "cgroup2" else _V1_CONTROLLERS.intersection(mount.options)
        for name in names:
            directory = own_directory(mount, own.get(name, "/"))
            directories.setdefault(_V1_NAMES.get(name, name), directory)
    return directories


def own_leaf() -> bool:
    """Whether this process is in the leaf of a tree that was divided for containers."""
    return os.path.basename(own_path()) == LEAF


def _may_write(directory: str, files: tuple[str, ...] = ()) -> bool:
    return os.access(directory, os.W_OK | os.X_OK) and all(
        os.access(f"{directory}/{name}", os.W_OK) for name in files
    )


def _writable_root(mount: Mount, own: str, files: tuple[str, ...]) -> str | None:
    """Return the directory to make cgroups in: the tree's top, or what was delegated to us."""
    if _may_write(mount.point, files):
        return mount.point
    directory = own_directory(mount, own)
    if os.path.basename(directory) == LEAF:
        directory = os.path.dirname(directory)
    return directory if _may_write(directory, files) else None


def discover() -> Hierarchy:
    """Look at the machine anew; :func:`hierarchy` remembers what this found.

    Raises:
        OSError: /proc is not mounted.
    """
    own = own_paths()
    controllers: dict[str, Place] = {}
    unified = None
    kinds = set()
    for mount in sorted(cgroup_mounts(), key=lambda mount: mount.kind):  # v1's claims come first
        if mount.kind == "cgroup2":
            kinds.add(2)
            if unified is None:
                unified = _writable_root(mount, own.get("", "/"), _DELEGATED)
                _note_v2(controllers, unified, mount)
            continue
        for name in _V1_CONTROLLERS.intersection(mount.options):
            kinds.add(1)
            root = _writable_root(mount, own.get(name, "/"), ())
            place = Place(1, root or mount.point, root is not None)
            controllers.setdefault(_V1_NAMES.get(name, name), place)
    kind: Literal["v1", "v2", "hybrid", "none"] = "none"
    if kinds:
        kind = "hybrid" if len(kinds) == 2 else "v2" if 2 in kinds else "v1"
    found = Hierarchy(kind, controllers, unified)
    return found if found.writable else msgspec.structs.replace(found, reason=_why_not(found))


def _note_v2(controllers: dict[str, Place], root: str | None, mount: Mount) -> None:
    """Add the controllers of the v2 tree that no v1 tree has taken."""
    directory = root or mount.point
    try:
        names = files.read(directory, "cgroup.controllers").split()
    except OSError:
        return
    for name in names:
        controllers.setdefault(name, Place(2, directory, root is not None))
    # A program attached to the cgroup, rather than a controller, decides about devices.
    controllers.setdefault("devices", Place(2, directory, root is not None))


def _why_not(found: Hierarchy) -> str:
    if found.kind == "none":
        return "no control group file system is mounted (usually at /sys/fs/cgroup)."
    if found.kind == "v2":
        return "this user's control group was not delegated to the user."
    return (
        "the control groups of this machine are cgroup v1, "
        "which only root may divide, or they are mounted read-only."
    )


@cache
def hierarchy() -> Hierarchy:
    """Return the trees of this machine; ``hierarchy.cache_clear()`` after moving cgroup."""
    return discover()
