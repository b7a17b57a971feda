"""Which host ids a container's users are.

As root, a container has a user namespace of its own, whose root is an unprivileged range of host
ids, unless ``--userns host``, ``--privileged`` or ``--pid host`` asks otherwise, or the file
system under the engine's state cannot be id-mapped. An ordinary user's launcher lives in one user
namespace already, in which that user is root, and its containers share it.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux.idmap import can_idmap, container_range
from cellcrate_runtime.oci.spec import IDMapping

__all__ = ["Identity"]


class Identity:
    """Decides about user namespaces.

    Args:
        state: The folder in which containers' files are.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self.rootless = os.geteuid() != 0

    @functools.cached_property
    def remaps(self) -> bool:
        """Whether containers have a user namespace of their own unless asked otherwise."""
        return not self.rootless and _can_idmap(self._state)

    def mappings(self, host: HostConfig) -> list[IDMapping]:
        """Return the id mappings of a container; none where it has no user namespace of its own.

        Raises:
            BadRequestError: It must have one, and cannot.
        """
        if self.rootless or host.privileged or "host" in (host.userns_mode, host.pid_mode):
            return []
        if not self.remaps:
            if host.userns_mode == "private":
                raise BadRequestError(
                    f"a user namespace needs a file system whose owners can be translated, and "
                    f"that of {self._state} cannot (mount_setattr(2)). Leave out --userns, or move "
                    "the engine's state with CELLCRATE_HOME"
                )
            return []
        return [self._range]

    @functools.cached_property
    def _range(self) -> IDMapping:
        ids = container_range()
        return IDMapping(container_id=ids.inside, host_id=ids.outside, size=ids.size)

    def check_source(self, source: str) -> None:
        """Refuse a bind mount whose owners cannot be translated.

        Raises:
            BadRequestError: Its file system has no id-mapped mounts.
        """
        if not _can_idmap_device(os.stat(source).st_dev, source):
            raise BadRequestError(
                f"{source} cannot be mounted in a container with a user namespace, because its "
                "file system cannot translate owners (mount_setattr(2)). Use --userns host, or a "
                "folder of another file system"
            )


def _can_idmap(path: Path) -> bool:
    return _can_idmap_device(path.stat().st_dev, os.fspath(path))


@functools.lru_cache(maxsize=64)
def _can_idmap_device(_device: int, path: str) -> bool:
    """Whether a file system can be id-mapped; the answer is the same for all of its paths."""
    return can_idmap(path)
