"""What a build copies, as a digest or as a layer's archive.

Done by a worker, because in a user namespace only the launcher's children may read all files.
"""

from __future__ import annotations

import msgspec

from cellcrate_runtime.engine.building.copy_request import CopyRequest
from cellcrate_runtime.engine.building.copying import plan_layer
from cellcrate_runtime.engine.protocol import CopiesPlanned, PackCopies
from cellcrate_runtime.engine.workers.answers import Answers, TaskError
from cellcrate_runtime.images.errors import ImageError

__all__ = ["pack_copies"]


def pack_copies(task: PackCopies, answers: Answers) -> None:
    """Answer with the digest of what is to be copied, or send it as an archive.

    Raises:
        TaskError: It cannot be copied.
    """
    with open(task.request_file, "rb") as file:
        request = msgspec.msgpack.decode(file.read(), type=CopyRequest)
    try:
        plan = plan_layer(request)
    except ImageError as error:
        raise TaskError("invalid", str(error)) from error
    if task.only_plan:
        answers.send(CopiesPlanned(digest=plan.digest(), entries=len(plan)))
        return
    with answers.writer() as stream:
        plan.write(stream)
