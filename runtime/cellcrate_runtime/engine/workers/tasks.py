"""The tasks that are done inside a container's root.

Workers import this when they are forked: what it brings is not in the memory of every shim.
"""

from __future__ import annotations

import tarfile

from cellcrate_runtime.engine.protocol import Export, GetArchive, PutArchive, StatPath, Task
from cellcrate_runtime.engine.workers import packing, paths, unpacking
from cellcrate_runtime.engine.workers.answers import Answers, TaskError
from cellcrate_runtime.oci import users
from cellcrate_runtime.oci.errors import UserNotFoundError

__all__ = ["do"]


def do(task: Task, answers: Answers) -> None:
    """Do a task; ``/`` is the container's root.

    Raises:
        TaskError: It cannot be done.
        OSError: The kernel refused something.
    """
    match task:
        case StatPath():
            answers.send(paths.describe(task.path))
        case GetArchive():
            described = paths.describe(task.path)
            answers.send(described)
            packing.pack(task.path, answers)
        case Export():
            packing.pack_root(answers)
        case PutArchive():
            try:
                unpacking.unpack(task, _owner(task.owner), answers)
            except tarfile.TarError as error:
                raise TaskError("invalid", f"the archive is broken: {error}") from error
        case _:
            raise TaskError("invalid", f"{type(task).__name__} is not done inside a container")


def _owner(name: str) -> tuple[int, int] | None:
    if not name:
        return None
    try:
        user = users.resolve_user("/", name)
    except UserNotFoundError as error:
        raise TaskError("invalid", error.message) from error
    return user.uid, user.gid
