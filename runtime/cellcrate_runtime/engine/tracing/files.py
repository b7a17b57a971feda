"""What a write to a file of the kernel's means, by the file's name."""

from __future__ import annotations

import os
import re

from cellcrate_runtime.engine.tracing import words
from cellcrate_runtime.engine.tracing.document import Subject
from cellcrate_runtime.linux.cgroups.hierarchy import cgroup_mounts

__all__ = ["Written", "matters"]

_Said = tuple[Subject, str, str]

# proc(5) and user_namespaces(7), time_namespaces(7).
_OF_A_PROCESS = re.compile(
    r"/proc/(?:self|thread-self|\d+)/(?:task/\d+/)?"
    r"(uid_map|gid_map|setgroups|timens_offsets|oom_score_adj|loginuid|attr/.+)$"
)
_PARAMETER = "/proc/sys/"
_OF_NAMESPACES = ("uid_map", "gid_map", "setgroups", "timens_offsets")


def matters(file: str) -> bool:
    """Whether a write to a file says anything of how a container is made."""
    return file.startswith((_PARAMETER, "/sys/fs/cgroup/")) or _OF_A_PROCESS.match(file) is not None


class Written:
    """Says what was written for one container.

    Args:
        cgroup: Its control group, below the top of its trees.
    """

    def __init__(self, cgroup: str) -> None:
        self._cgroup = cgroup.strip("/")
        self._tops = sorted((mount.point for mount in cgroup_mounts()), key=len, reverse=True)

    def say(self, file: str, value: str) -> list[_Said]:
        """Return what a write is about; nothing if it is not about a container."""
        value = value.strip(" \n\0")  # runc writes the zero byte that ends its string, too
        if found := _OF_A_PROCESS.match(file):
            return [_of_a_process(found[1], value)]
        if file.startswith(_PARAMETER):
            name = file.removeprefix(_PARAMETER).replace("/", ".")
            return [("kernel parameters", name, value)]
        place = self._in_tree(file)
        if place is None:
            return []
        if os.path.basename(file) in ("cgroup.procs", "tasks"):
            value = f"process {value} joins"
        return [("control group", place, value)]

    def say_made(self, folder: str) -> list[_Said]:
        """Return what a new folder is about; nothing if it is no control group."""
        place = self._in_tree(folder)
        return [] if place is None else [("control group", place, "group made")]

    def say_decided(self, folder: str) -> list[_Said]:
        """Return what a program is about that was attached to a control group for its devices."""
        return [("control group", "devices", "a BPF program decides from now on")] if folder else []

    def _in_tree(self, path: str) -> str | None:
        """The name of a control file or group without the container's own path."""
        top = next((top for top in self._tops if path.startswith(f"{top}/")), None)
        if top is None:
            return None
        tree = "" if top == "/sys/fs/cgroup" else os.path.basename(top)
        below = path[len(top) + 1 :]
        own = f"/{self._cgroup}/"
        if self._cgroup and own in f"/{below}/":
            below = f"/{below}/".partition(own)[2].strip("/")
        return "/".join(part for part in (tree, below) if part) or "group"


def _of_a_process(name: str, value: str) -> _Said:
    if name in ("uid_map", "gid_map"):
        return ("namespaces", name, words.id_ranges(value))
    if name in _OF_NAMESPACES:
        return ("namespaces", name, value)
    return ("rights", name, value)
