"""Work on a container that runs; forked from its shim."""

from __future__ import annotations

import os
from typing import NoReturn

from cellcrate_runtime.engine.complaints import complain_of_defect
from cellcrate_runtime.engine.protocol import Changes, Export, PackLayer, Task
from cellcrate_runtime.engine.workers.answers import Answers, TaskError, run_task
from cellcrate_runtime.engine.workers.running import Running
from cellcrate_runtime.linux import credentials, namespaces
from cellcrate_runtime.oci import joining

__all__ = ["fork_worker"]

_USER = namespaces.FLAGS["user"]
_MOUNT = namespaces.FLAGS["mount"]


def fork_worker(task: Task, descriptors: list[int], container: Running) -> int:
    """Have a task done by a new process, and return its id; the caller reaps it.

    Args:
        task: What to do.
        descriptors: The socket for answers and the stream for an archive; the caller closes them.
        container: What to do it with.
    """
    pid = os.fork()
    if not pid:
        _run(task, descriptors, container)
    return pid


def _run(task: Task, descriptors: list[int], container: Running) -> NoReturn:
    status = 1
    try:
        # A client's connection, held open here, would not end with its session.
        _close_all_but({2, container.pidfd, *descriptors})
        run_task(Answers(descriptors), lambda answers: _work(task, answers, container))
        status = 0
    except BaseException:
        complain_of_defect()
    finally:
        os._exit(status)


def _work(task: Task, answers: Answers, container: Running) -> None:
    from cellcrate_runtime.engine.workers import changes, confinement, layers, tasks, volumes

    if container.rootfs is None and isinstance(task, Changes | Export | PackLayer):
        raise TaskError("invalid", "the container has no layers to tell apart")
    if isinstance(task, Changes | PackLayer):
        assert container.rootfs is not None
        hidden = volumes.mount_points(container.bundle)
        if isinstance(task, Changes):
            changes.send_changes(container.rootfs, hidden, answers)
        else:
            layers.pack_layer(task, container.rootfs, hidden, answers)
        return
    # Looked up here, because /proc is not to be seen from where the worker goes.
    entrance = joining.open_to_joining(container.pid)
    own_users = not namespaces.shares_with(entrance, "user")
    pidfd = container.pidfd if entrance == container.pid else os.pidfd_open(entrance)
    if isinstance(task, Export):
        # The shim's own mount of the root has nothing mounted in it.
        assert container.rootfs is not None
        confinement.enter(container.rootfs.mount_point)
        _become_root(pidfd, own_users, also=0)
    else:
        _become_root(pidfd, own_users, also=_MOUNT)
        confinement.enter("/")
    tasks.do(task, answers)


def _become_root(pidfd: int, own_users: bool, also: int) -> None:
    """Join the container's user namespace, so that owners are seen as the container sees them."""
    flags = also | (_USER if own_users else 0)
    if flags:
        namespaces.setns(pidfd, flags)
    if own_users:
        credentials.become(0, 0)


def _close_all_but(kept: set[int]) -> None:
    first = 0
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
