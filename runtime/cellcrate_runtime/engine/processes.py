"""Which processes of this computer are a container's."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError
from cellcrate_runtime.oci.joining import open_to_joining

__all__ = ["of_container"]

_PROC = Path("/proc")


def of_container(pid: int, cgroup_path: str) -> list[int]:
    """Return the process ids, as the host counts them, of a running container.

    Its cgroup knows them. A user to whom no cgroup is delegated has none: then they are those in
    the PID namespace of the container's first process, or, if it shares the host's, its children.

    Args:
        pid: The container's first process.
        cgroup_path: Where its cgroup is, if it has one.
    """
    try:
        if found := Cgroup.open(cgroup_path).procs():
            return sorted(found)
    except CgroupError:
        pass
    namespace = _pid_namespace(open_to_joining(pid))
    if namespace is None or namespace == _pid_namespace(os.getpid()):
        return _with_children(pid)
    inside = {other for other in psutil.pids() if _pid_namespace(other) == namespace}
    return sorted(inside | {pid})


def _pid_namespace(pid: int) -> str | None:
    try:
        return os.readlink(_PROC / str(pid) / "ns" / "pid")
    except OSError:
        return None


def _with_children(pid: int) -> list[int]:
    try:
        first = psutil.Process(pid)
        return sorted([pid, *(child.pid for child in first.children(recursive=True))])
    except psutil.NoSuchProcess:
        return []
