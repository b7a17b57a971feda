"""Pack what a container has changed as the archive of an image's layer."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from cellcrate_runtime.engine import root_file_system
from cellcrate_runtime.engine.protocol import PackLayer, Rootfs
from cellcrate_runtime.engine.workers import changes, confinement
from cellcrate_runtime.engine.workers.answers import Answers, TaskError
from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.layer_archive import write_layer
from cellcrate_runtime.oci.identity import id_ranges

__all__ = ["pack_layer"]


def pack_layer(
    task: PackLayer, rootfs: Rootfs, mount_points: Collection[str], answers: Answers
) -> None:
    """Pack a container's writable layer; this process is shut into it.

    Args:
        task: How.
        rootfs: The container's layers.
        mount_points: Paths that the runtime makes to mount something on. They, and the folders that
            they lie in, are no changes of the container's.
        answers: Where the archive goes.

    Raises:
        TaskError: Something in it cannot be told by a layer.
    """
    folders = {str(folder) for path in mount_points for folder in PurePosixPath(path).parents}
    folders -= {"/"}
    untouched = {folder for folder in folders if changes.is_unchanged(rootfs, folder)}
    unchanged = untouched.union(mount_points, task.unchanged)
    ids = id_ranges([rootfs.shift])[0] if rootfs.shift is not None else None
    userxattr = root_file_system.in_user_namespace()  # as it is mounted: see mount_layers
    # Links in it must lead nowhere else, also while a container that runs changes them.
    confinement.enter(rootfs.upper)
    try:
        with answers.writer() as stream:
            write_layer(
                Path("/"),
                stream,
                ids=ids,
                latest=task.latest,
                unchanged=unchanged,
                userxattr=userxattr,
            )
    except ImageError as error:
        raise TaskError("invalid", str(error)) from error
