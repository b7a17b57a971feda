"""Which host ids a container's users are.

As root, a container has a user namespace of its own, whose root is an unprivileged range of host
ids, unless ``--userns host``, ``--privileged`` or ``--pid host`` asks otherwise. How its files come
to belong to those ids depends on the machine, and is found out by trying:

- Id-mapped mounts translate owners, and the files on disk keep the ids that the container sees.
- Where there are none, its image's layers are copied once with shifted owners
  (:mod:`cellcrate_runtime.images.shifted_layers`), and its writable layer has shifted owners, too.
- Where there are no user namespaces, root in a container is root outside.

An ordinary user's launcher lives in one user namespace already, in which that user is root, and its
containers share it.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.errors import BadRequestError, ConflictError
from cellcrate_runtime.linux import idmap, idmapped_layers
from cellcrate_runtime.oci.spec import IDMapping

__all__ = ["Identity", "Remapping"]

_log = logging.getLogger("cellcrate.identity")


@dataclass(frozen=True)
class Remapping:
    """How containers' files come to belong to the users of their user namespaces.

    Attributes:
        way: The one that is used.
        reason: Why not the one before it; empty for the first.
    """

    way: Literal["id-mapped mounts", "shifted copies", "none"]
    reason: str = ""


class Identity:
    """Decides about user namespaces.

    Args:
        state: The folder in which containers' files are.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self.rootless = os.geteuid() != 0

    @functools.cached_property
    def remapping(self) -> Remapping:
        """What this machine can do; for an ordinary user, whose namespace is the launcher's, none.

        Raises:
            OSError: Nothing can be made in the folder of the engine's state.
        """
        if self.rootless:
            return Remapping(
                "none",
                "the engine is an ordinary user's, whose user namespace all containers share",
            )
        try:
            namespace = self._namespace
        except OSError as error:
            found = Remapping("none", f"no user namespace can be made: {error.strerror}")
        else:
            reason = idmapped_layers.why_not(str(self._state), namespace, idmap.container_range())
            found = Remapping("shifted copies" if reason else "id-mapped mounts", reason)
        because = f", because {found.reason}" if found.reason else ""
        _log.info("owners of containers' files: %s%s", found.way, because)
        return found

    def find_out(self) -> None:
        """Have :attr:`remapping` known; where nothing can be made now, the next who asks tries."""
        with contextlib.suppress(OSError):
            _ = self.remapping

    @functools.cached_property
    def _namespace(self) -> int:
        """A user namespace as containers have it, to try mounts with."""
        ids = idmap.container_range()
        return idmap.make_user_namespace([ids], [ids])

    @property
    def remaps(self) -> bool:
        """Whether containers have a user namespace of their own unless asked otherwise."""
        return self.remapping.way != "none"

    def shift(self, host: HostConfig) -> IDMapping | None:
        """Return the ids that the files of a new container shall have on disk.

        None: those that the container sees.

        Raises:
            BadRequestError: The container must have a user namespace, and cannot.
        """
        if not self._is_to_be_remapped(host):
            return None
        if not self.remaps and host.userns_mode == "private":
            raise BadRequestError(
                f"a user namespace cannot be had: {self.remapping.reason}. Leave out --userns; "
                "`cellcrate doctor` says what is missing"
            )
        return self._range if self.remapping.way == "shifted copies" else None

    def mappings(self, host: HostConfig, shift: IDMapping | None) -> list[IDMapping]:
        """Return the id mappings of a container; none where it has no user namespace of its own.

        Args:
            host: How it was asked for.
            shift: What :meth:`shift` returned when it was made.

        Raises:
            ConflictError: Its files have owners on disk with which it cannot run here.
        """
        if not self._is_to_be_remapped(host):
            return []
        if shift is not None and self.remaps:
            return [shift]
        if shift is None and self.remapping.way != "shifted copies":
            return [self._range] if self.remaps else []
        if shift is None:
            whose = "those that it sees itself"
            what = "Make a new container; docker cp gets the files out of this one"
        else:
            whose, what = "those of a user namespace", "`cellcrate doctor` says what is missing"
        raise ConflictError(
            f"the owners of the container's files on disk are {whose}, which cannot be used any "
            f"more: {self.remapping.reason}. {what}"
        )

    def is_remapped(self, host: HostConfig) -> bool:
        """Whether a container that was asked for so has a user namespace of its own."""
        return self._is_to_be_remapped(host) and self.remaps

    def lacks_remapping(self, host: HostConfig) -> bool:
        """Whether a container has no user namespace of its own although nobody asked for that."""
        return self._is_to_be_remapped(host) and not self.remaps

    def _is_to_be_remapped(self, host: HostConfig) -> bool:
        asked_otherwise = host.privileged or "host" in (host.userns_mode, host.pid_mode)
        return not self.rootless and not asked_otherwise

    @functools.cached_property
    def _range(self) -> IDMapping:
        ids = idmap.container_range()
        return IDMapping(container_id=ids.inside, host_id=ids.outside, size=ids.size)

    def can_translate(self, source: str) -> bool:
        """Whether the owners of files at a path of the host can be translated by a mount."""
        if not self.remaps:
            return False
        try:
            return _can_idmap(os.stat(source).st_dev, source, self._namespace)
        except OSError:
            return True  # who mounts it will say what is wrong with it


@functools.lru_cache(maxsize=64)
def _can_idmap(_device: int, path: str, namespace: int) -> bool:
    """Try it once for each path, and again where another file system was mounted at it since."""
    return idmap.can_idmap(path, namespace)
