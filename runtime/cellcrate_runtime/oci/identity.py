"""The user namespace of a container, as its configuration has it."""

from __future__ import annotations

import os
from collections.abc import Iterable

from cellcrate_runtime.linux import idmap, recording
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import IDMapping, Linux

__all__ = ["MappingNamespaces", "id_ranges", "outside_id", "write_mappings"]


def id_ranges(mappings: Iterable[IDMapping]) -> list[IDRange]:
    """A configuration's mappings in the form that :mod:`cellcrate_runtime.linux.idmap` takes."""
    return [IDRange(m.container_id, m.host_id, m.size) for m in mappings]


def outside_id(mappings: list[IDMapping], inside: int) -> int | None:
    """What an id of the container is outside; the same where nothing is translated."""
    return idmap.translate(id_ranges(mappings), inside) if mappings else inside


def write_mappings(pid: int, uids: list[IDMapping], gids: list[IDMapping]) -> None:
    """Give a process's new user namespace its mappings.

    Raises:
        OCIError: The kernel refuses them.
    """
    try:
        idmap.write_mappings(pid, id_ranges(uids), id_ranges(gids))
    except OSError as error:
        what = "cannot set linux.uidMappings and gidMappings"
        raise OCIError.from_os_error(error, what) from error
    if recording.active is not None:
        for name, mappings in (("uid_map", uids), ("gid_map", gids)):
            lines = "\n".join(f"{m.container_id} {m.host_id} {m.size}" for m in mappings)
            recording.active.note("write", file=f"/proc/{pid}/{name}", value=lines)


class MappingNamespaces:
    """User namespaces for id-mapped mounts, made when first needed; the caller closes them."""

    def __init__(self, linux: Linux, given: int | None) -> None:
        self._linux = linux
        self._given = given
        self.made: list[int] = []

    def of_container(self) -> int:
        """One with the container's mappings, or the one that it joins."""
        if self._given is None:
            paths = [n.path for n in self._linux.namespaces if n.type == "user" and n.path]
            if paths:
                self._given = os.open(paths[0], os.O_RDONLY | os.O_CLOEXEC)
                self.made.append(self._given)
            else:
                self._given = self.of(self._linux.uid_mappings, self._linux.gid_mappings)
        return self._given

    def of(self, uids: list[IDMapping], gids: list[IDMapping]) -> int:
        """One with a mount's own mappings."""
        descriptor = idmap.make_user_namespace(id_ranges(uids), id_ranges(gids))
        self.made.append(descriptor)
        return descriptor
