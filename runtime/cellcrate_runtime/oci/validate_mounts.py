"""Refuse mounts that cannot be, before anything is created.

Source: OCI runtime-spec 1.3, config.md, "Mounts".
"""

from __future__ import annotations

import posixpath

from cellcrate_runtime.oci import mount_options
from cellcrate_runtime.oci.refusal import check_mappings, check_text, refuse
from cellcrate_runtime.oci.spec import Mount

__all__ = ["check_mount"]


def check_mount(member: str, mount: Mount, has_identity: bool) -> None:
    """Refuse a mount that cannot be.

    Args:
        member: What it is called in messages.
        has_identity: Whether the container has a user namespace.
    """
    if not mount.destination:
        refuse(f"{member}.destination", "is empty")
    if posixpath.normpath("/" + mount.destination.lstrip("/")) == "/":
        refuse(f"{member}.destination", "the root itself cannot be mounted over")
    check_text(member, [mount.destination, mount.source, *mount.options])
    options = mount_options.parse(mount.options)
    bind = options.bind or mount.type == "bind"
    if options.remount:
        return  # what is there has a type and a source already
    if bind and not mount.source.startswith("/"):
        refuse(f"{member}.source", "a bind mount needs an absolute path to mount")
    if not bind and not mount.type:
        refuse(f"{member}.type", "is missing")
    own = bool(mount.uid_mappings or mount.gid_mappings)
    if own and not (mount.uid_mappings and mount.gid_mappings):
        refuse(f"{member}.uidMappings", "and gidMappings must be given together")
    if (options.idmap or own) and not bind:
        refuse(f"{member}.options", "idmap is for bind mounts, and so are mappings")
    if options.idmap and not own and not has_identity:
        refuse(f"{member}.options", "idmap needs mappings, of the mount or of the container")
    check_mappings(f"{member}.uidMappings", mount.uid_mappings)
    check_mappings(f"{member}.gidMappings", mount.gid_mappings)
