"""Getting a control group tree that may be divided, and handing its controllers down.

In cgroup v2 a cgroup hands controllers to its children by naming them in
``cgroup.subtree_control``, and one that does so has no processes of its own (the real top of the
tree excepted). An ordinary user may divide what was delegated to them: systemd does that when
it is asked for a scope with ``Delegate=yes``.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, sections "Enabling and Disabling",
"No Internal Process Constraint" and "Delegation"; systemd's docs/CGROUP_DELEGATION.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress

from . import files
from .errors import CgroupError
from .hierarchy import LEAF, Hierarchy, hierarchy, own_leaf

__all__ = ["enable", "move_processes", "prepare"]


def prepare() -> Hierarchy:
    """Make limits possible for this process's containers, as far as the machine allows.

    The engine calls this once, before it starts its launcher. For root, and under cgroup v1,
    there is usually nothing to do. For an ordinary user under cgroup v2, this process moves into a
    delegated scope that the user's systemd makes, or into a leaf of its own cgroup where that was
    delegated. Where neither works nothing changes, and the result has the reason.

    May take a second, while systemd works.
    """
    from . import systemd  # starts programs, which nothing else here does

    found = hierarchy()
    if found.kind != "v2" or own_leaf():
        return found
    if os.geteuid() != 0:
        with suppress(CgroupError):
            systemd.enter_scope()
            hierarchy.cache_clear()
            found = hierarchy()
    root = found.unified
    if root is None or not os.path.exists(f"{root}/cgroup.type"):  # only the real top has none
        return found
    try:
        if files.read(root, "cgroup.procs"):
            move_processes(root)
    except OSError:
        return found  # what is in the way will be said when a limit is asked for
    hierarchy.cache_clear()
    return hierarchy()


def move_processes(directory: str) -> None:
    """Move all processes of a delegated cgroup into a leaf below it.

    Raises:
        OSError: A process may not be moved.
    """
    leaf = f"{directory}/{LEAF}"
    with suppress(FileExistsError):
        os.mkdir(leaf)
    for _ in range(10):  # a process may fork while its siblings move
        pids = files.read(directory, "cgroup.procs").split()
        if not pids:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                files.write(leaf, "cgroup.procs", pid)


def enable(root: str, path: str, controllers: Iterable[str]) -> None:
    """Hand controllers down from ``root`` to the cgroup ``path`` (``/cellcrate/1234``).

    A controller that cannot be had is left out: who needs it finds its files missing.

    Raises:
        CgroupError: A cgroup on the way has processes.
        OSError: The tree may not be changed.
    """
    directory = root
    for name in path.strip("/").split("/"):
        missing = set(controllers) - set(files.read(directory, "cgroup.subtree_control").split())
        missing &= set(files.read(directory, "cgroup.controllers").split())
        for controller in sorted(missing):
            _hand_down(directory, controller)
        directory = f"{directory}/{name}"


def _hand_down(directory: str, controller: str) -> None:
    try:
        files.write(directory, "cgroup.subtree_control", f"+{controller}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise CgroupError(
                f"{directory} has processes of its own, so it cannot hand the {controller} "
                "controller down. Restart the engine: it moves them out of the way."
            ) from error
        if error.errno not in (errno.EINVAL, errno.ENOENT):  # cpu, while real-time tasks run
            raise
