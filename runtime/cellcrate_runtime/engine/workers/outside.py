"""Work on a container that does not run; forked from the launcher."""

from __future__ import annotations

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.protocol import Changes, RemoveTrees, Work
from cellcrate_runtime.engine.workers.answers import Answers, TaskError, run_task
from cellcrate_runtime.engine.workers.remove_trees import remove_trees

__all__ = ["run"]


def run(request: Work, descriptors: list[int]) -> None:
    """Do a task, and end; the caller is a process just forked.

    Args:
        request: What to do.
        descriptors: The socket for answers and the stream for an archive.
    """
    run_task(Answers(descriptors), lambda answers: _work(request, answers))


def _work(request: Work, answers: Answers) -> None:
    task, rootfs = request.task, request.rootfs
    if isinstance(task, RemoveTrees):
        remove_trees(task.paths)
        return
    from cellcrate_runtime.engine.workers import changes, confinement, tasks, volumes

    if rootfs is None:
        raise TaskError("invalid", f"{type(task).__name__} needs a container's root file system")
    if isinstance(task, Changes):
        hidden = volumes.mount_points(request.bundle) if request.bundle else []
        changes.send_changes(rootfs, hidden, answers)
        return
    root_file_system.hide_mounts_from_host()
    # On disk files belong to the container's ids, so nothing needs to be translated.
    root_file_system.mount_layers(rootfs)
    if request.bundle:
        volumes.mount_volumes(request.bundle, rootfs.mount_point)
    confinement.enter(rootfs.mount_point)
    tasks.do(task, answers)
