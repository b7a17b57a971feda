"""Containers of a user who is not root, and has not been made root of a user namespace either.

Podman makes its own user namespace before it calls a runtime; a person at a shell does not.
"""

from __future__ import annotations

import os

from cellcrate_runtime.linux import idmap, namespaces, rootless
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.spec import IDMapping, Linux, Spec

__all__ = ["become_root_of_own"]


def become_root_of_own(spec: Spec) -> None:
    """Where this user is not root, enter a user namespace of its own, and its mounts'.

    The host ids of the configuration's mappings become those that they are in there.

    Raises:
        CommandError: The configuration has no user namespace, or maps ids that are not the user's.
    """
    if os.geteuid() == 0:
        return
    linux = spec.linux or Linux()
    if not any(namespace.type == "user" for namespace in linux.namespaces):
        raise CommandError(
            "rootless container requires user namespaces: add one to linux.namespaces, with "
            "mappings (cellcrate-oci spec --rootless writes such a config.json)"
        )
    rootless.enter_user_namespace()
    namespaces.unshare(namespaces.FLAGS["mount"])
    linux.uid_mappings = _seen_from_inside("uid", linux.uid_mappings)
    linux.gid_mappings = _seen_from_inside("gid", linux.gid_mappings)


def _seen_from_inside(kind: str, mappings: list[IDMapping]) -> list[IDMapping]:
    own = idmap.own_ranges(kind)
    inverse = [IDRange(each.outside, each.inside, each.size) for each in own]
    seen = []
    for mapping in mappings:
        first = idmap.translate(inverse, mapping.host_id)
        last = idmap.translate(inverse, mapping.host_id + mapping.size - 1)
        if first is None or last is None or last - first != mapping.size - 1:
            raise CommandError(
                f"config.json: linux.{kind}Mappings: the ids from {mapping.host_id} on are not "
                f"this user's; see /etc/sub{kind}"
            )
        seen.append(IDMapping(container_id=mapping.container_id, host_id=first, size=mapping.size))
    return seen
