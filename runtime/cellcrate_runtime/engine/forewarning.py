"""What the user of a new container gets differently from what he may think.

Docker's API returns it when a container is created, and ``docker run`` prints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.oci_config.rlimits import lowest_oom_score_adj
from cellcrate_runtime.engine.oci_config.volumes import Volume

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["warnings"]


def warnings(engine: Engine, host: HostConfig, translated: list[Volume]) -> list[str]:
    """Return a sentence or two for each such thing.

    Args:
        engine: Whose container it is.
        host: How it was asked for.
        translated: The volumes whose owners should be those that its user namespace shows.
    """
    identity = engine.identity
    found = []
    if identity.remaps and host.pid_mode == "host" and host.userns_mode != "host":
        found.append(
            "The container shares the host's processes (--pid host), so it has no user namespace "
            "of its own: its root is the host's root."
        )
    if identity.lacks_remapping(host):
        found.append(
            f"The container has no user namespace of its own, because {identity.remapping.reason}: "
            "its root is root outside, too."
        )
    lowest = lowest_oom_score_adj()
    if host.oom_score_adj < lowest:
        found.append(
            f"--oom-score-adj {host.oom_score_adj} needs CAP_SYS_RESOURCE, which this engine does "
            f"not have: the container gets {lowest}."
        )
    found += [
        _of_foreign_owners(volume.source)
        for volume in translated
        if volume.kind == "bind" and not identity.can_translate(volume.source)
    ]
    return found


def _of_foreign_owners(source: str) -> str:
    return (
        f"The owners of the files in {source} cannot be translated, because its file system has no "
        "id-mapped mounts (mount_setattr(2)): they belong to nobody in the container, whose users, "
        "root included, may do there only what everybody may. With --userns host its root is the "
        "host's and may do everything."
    )
