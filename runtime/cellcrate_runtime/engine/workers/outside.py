"""Work on a container that does not run; forked from the launcher."""

from __future__ import annotations

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.protocol import (
    Changes,
    PackCopies,
    PackLayer,
    RemoveTrees,
    Rootfs,
    Work,
)
from cellcrate_runtime.engine.workers.answers import Answers, TaskError, run_task
from cellcrate_runtime.engine.workers.remove_trees import remove_trees
from cellcrate_runtime.linux import credentials, namespaces
from cellcrate_runtime.oci.identity import id_ranges

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
    if isinstance(task, PackCopies):
        from cellcrate_runtime.engine.workers import copies

        copies.pack_copies(task, answers)
        return
    from cellcrate_runtime.engine.workers import changes, confinement, tasks

    if rootfs is None:
        raise TaskError("invalid", f"{type(task).__name__} needs a container's root file system")
    if isinstance(task, Changes | PackLayer):
        from cellcrate_runtime.engine.workers import layers, volumes

        hidden = volumes.mount_points(request.bundle) if request.bundle else []
        if isinstance(task, Changes):
            changes.send_changes(rootfs, hidden, answers)
        else:
            layers.pack_layer(task, rootfs, hidden, answers)
        return
    users = _mount(rootfs, request.bundle)
    confinement.enter(rootfs.mount_point)
    if users is not None:
        namespaces.setns(users, namespaces.FLAGS["user"])
        credentials.become(0, 0)
    tasks.do(task, answers)


def _mount(rootfs: Rootfs, bundle: str) -> int | None:
    """Mount a container's root and, with a bundle, its volumes, where only this process sees them.

    Returns the user namespace from which owners look as the container sees them; None where they
    do from the host's.
    """
    from cellcrate_runtime.engine.workers import volumes

    root_file_system.hide_mounts_from_host()
    # Mostly files belong on disk to the container's ids, and nothing needs to be translated.
    root_file_system.mount_layers(rootfs)
    if rootfs.shift is None:
        if bundle:
            volumes.mount_volumes(bundle, rootfs.mount_point)
        return None
    ids = tuple(id_ranges([rootfs.shift]))
    users = root_file_system.user_namespace(ids, ids)
    if bundle:
        # What is made to mount something on shall be the container's.
        with credentials.file_access_as(rootfs.shift.host_id, rootfs.shift.host_id):
            volumes.mount_volumes(bundle, rootfs.mount_point, users)
    return users
