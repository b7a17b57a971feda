"""The control group of the container that will be created next, made before anybody asks for it.

Entering a group is the longest wait of a start. While a process is moved, none may fork or end; the
kernel announces that with an RCU grace period, some ten milliseconds in which every processor has
to pass by. So a group is ready before it is asked for, and a process that may become the
container's first waits inside.

A group made in advance has a locked folder of the container's id in ``RUN/ready``. The kernel lets
go of the lock when the last process that holds it ends, however it ends, and then the group is left
over. The shim that starts the container makes the folder its run folder.

Source: kernel/cgroup/cgroup.c, ``cgroup_attach_lock``, and kernel/rcu/sync.c.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

from cellcrate_runtime.engine.complaints import complain
from cellcrate_runtime.engine.shim import run_folder
from cellcrate_runtime.linux.cgroups import Cgroup, CgroupError, CgroupNotFoundError, hierarchy

__all__ = ["TOP", "Ready", "clear", "group_path", "make"]

TOP = "/cellcrate"
"""The group above those of containers."""

_FOLDER = "ready"
_PATIENCE = 0.5  # seconds for the processes of a killed launcher to end in


def group_path(container_id: str) -> str:
    """Where a container's control group is, below the tree's top or the delegated root."""
    return f"{TOP}/{container_id}"


@dataclass
class Ready:
    """A control group with nobody in it, or a process that waits to be told what it is.

    Attributes:
        container_id: The container for which it is.
        cgroup: It; without limits.
    """

    container_id: str
    cgroup: Cgroup
    _folder: str
    _lock: int | None

    def become_run_folder(self, folder: str) -> int:
        """Make the folder the run folder of the container; return the descriptor of its lock.

        Raises:
            OSError: It cannot be renamed.
        """
        assert self._lock is not None
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        os.rename(self._folder, folder)
        lock, self._lock = self._lock, None
        return lock

    def let_go(self) -> None:
        """Leave it to another process that has inherited it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Remove it; its last process has ended, or left it, or will in a moment."""
        try:
            self.cgroup.delete()
        except CgroupError as error:
            complain(f"a control group made in advance is left: {error}")
        if self._lock is not None:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self._folder)
        self.let_go()


def make(run: str, container_id: str) -> Ready | None:
    """Make what a container's start will need; None where there are no control groups to be had.

    Args:
        run: The engine's run folder.
        container_id: The container.
    """
    if not hierarchy().writable:
        return None
    folder = f"{run}/{_FOLDER}/{container_id}"
    try:
        lock = run_folder.acquire(folder)
    except OSError as error:
        complain(f"no control group is made in advance: {error}")
        return None
    try:
        # Docker's containers have rules for devices, which need a group of their own in v1.
        cgroup = Cgroup.create(group_path(container_id), controllers=["devices"])
    except CgroupError:
        os.rmdir(folder)
        os.close(lock)
        return None  # whoever starts a container will hear why
    return Ready(container_id, cgroup, folder, lock)


def clear(run: str) -> None:
    """Remove what a launcher that was killed had made in advance."""
    try:
        names = os.listdir(f"{run}/{_FOLDER}")
    except FileNotFoundError:
        return
    for name in names:
        folder = f"{run}/{_FOLDER}/{name}"
        if _is_in_use(folder):
            continue
        try:
            with contextlib.suppress(CgroupNotFoundError):
                Cgroup.open(group_path(name)).delete(_PATIENCE)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder)
        except (OSError, CgroupError) as error:
            complain(f"a control group made in advance is left: {error}")


def _is_in_use(folder: str) -> bool:
    """Whether somebody has it, and not only until he notices that the launcher is gone."""
    deadline = time.monotonic() + _PATIENCE
    while run_folder.is_locked(folder):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.01)
    return False
