"""Flags and numbers of system calls in words: those of mount(8), namespaces(7), capabilities(7)."""

from __future__ import annotations

from cellcrate_runtime.linux import capabilities, mounts, namespaces

__all__ = [
    "attributes",
    "capability_names",
    "id_ranges",
    "mount_flags",
    "namespace_types",
    "propagation",
]

_MOUNT_FLAGS = {
    mounts.MS_RDONLY: "ro",
    mounts.MS_NOSUID: "nosuid",
    mounts.MS_NODEV: "nodev",
    mounts.MS_NOEXEC: "noexec",
    mounts.MS_SYNCHRONOUS: "sync",
    mounts.MS_MANDLOCK: "mand",
    mounts.MS_DIRSYNC: "dirsync",
    mounts.MS_NOSYMFOLLOW: "nosymfollow",
    mounts.MS_NOATIME: "noatime",
    mounts.MS_NODIRATIME: "nodiratime",
    mounts.MS_RELATIME: "relatime",
    mounts.MS_STRICTATIME: "strictatime",
    mounts.MS_LAZYTIME: "lazytime",
}
_ATTRIBUTES = {
    mounts.ATTR_RDONLY: "ro",
    mounts.ATTR_NOSUID: "nosuid",
    mounts.ATTR_NODEV: "nodev",
    mounts.ATTR_NOEXEC: "noexec",
    mounts.ATTR_NOATIME: "noatime",
    mounts.ATTR_STRICTATIME: "strictatime",
    mounts.ATTR_NODIRATIME: "nodiratime",
    mounts.ATTR_NOSYMFOLLOW: "nosymfollow",
    mounts.ATTR_IDMAP: "ids translated",
}
_PROPAGATION = {
    mounts.MS_SHARED: "shared",
    mounts.MS_SLAVE: "slave",
    mounts.MS_PRIVATE: "private",
    mounts.MS_UNBINDABLE: "unbindable",
}


def mount_flags(flags: int) -> list[str]:
    """The words for flags of mount(2) that a mount has."""
    return [word for flag, word in _MOUNT_FLAGS.items() if flags & flag]


def attributes(bits: int) -> list[str]:
    """The words for attributes of mount_setattr(2)."""
    return [word for bit, word in _ATTRIBUTES.items() if bits & bit]


def propagation(flags: int, *, recursive: bool) -> str:
    """The word for how mounts reach other namespaces; empty if the flags say nothing of it."""
    word = next((word for flag, word in _PROPAGATION.items() if flags & flag), "")
    return f"r{word}" if word and recursive else word


def namespace_types(flags: int) -> list[str]:
    """The types of namespaces that ``CLONE_NEW…`` flags stand for."""
    return [type_ for type_, flag in namespaces.FLAGS.items() if flags & flag]


def capability_names(bits: int) -> str:
    """The capabilities of a set, as ``docker run --cap-add`` writes them."""
    if not bits:
        return "none"
    if bits & (all_ := (2 << capabilities.last()) - 1) == all_:
        return "all"
    held = [name for number, name in enumerate(capabilities.NAMES) if bits >> number & 1]
    return ", ".join(name.removeprefix("CAP_") for name in held)


def id_ranges(lines: str) -> str:
    """The lines of a uid_map or gid_map (user_namespaces(7)) in words."""
    said = []
    for line in lines.splitlines():
        inside, outside, size = (int(number) for number in line.split())
        if size == 1:
            said.append(f"{inside} is {outside} outside")
        else:
            said.append(
                f"{inside} to {inside + size - 1} are {outside} to {outside + size - 1} outside"
            )
    return "; ".join(said)
