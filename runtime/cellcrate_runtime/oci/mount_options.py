"""The words of a mount's ``options``, translated to what the kernel is told.

Source: OCI runtime-spec 1.3, config.md, "Linux mount options"; mount(8) for their meaning.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cellcrate_runtime.linux import mounts as m

__all__ = ["PROPAGATION", "MountOptions", "bind_attributes", "names", "parse", "with_label"]

# A word sets flags, or (True) clears them.
_FLAGS: dict[str, tuple[bool, int]] = {
    "async": (True, m.MS_SYNCHRONOUS),
    "atime": (True, m.MS_NOATIME),
    "defaults": (False, 0),
    "dev": (True, m.MS_NODEV),
    "diratime": (True, m.MS_NODIRATIME),
    "dirsync": (False, m.MS_DIRSYNC),
    "exec": (True, m.MS_NOEXEC),
    "iversion": (False, m.MS_I_VERSION),
    "lazytime": (False, m.MS_LAZYTIME),
    "loud": (True, m.MS_SILENT),
    "mand": (False, m.MS_MANDLOCK),
    "noatime": (False, m.MS_NOATIME),
    "nodev": (False, m.MS_NODEV),
    "nodiratime": (False, m.MS_NODIRATIME),
    "noexec": (False, m.MS_NOEXEC),
    "noiversion": (True, m.MS_I_VERSION),
    "nolazytime": (True, m.MS_LAZYTIME),
    "nomand": (True, m.MS_MANDLOCK),
    "norelatime": (True, m.MS_RELATIME),
    "nostrictatime": (True, m.MS_STRICTATIME),
    "nosuid": (False, m.MS_NOSUID),
    "nosymfollow": (False, m.MS_NOSYMFOLLOW),
    "relatime": (False, m.MS_RELATIME),
    "ro": (False, m.MS_RDONLY),
    "rw": (True, m.MS_RDONLY),
    "silent": (False, m.MS_SILENT),
    "strictatime": (False, m.MS_STRICTATIME),
    "suid": (True, m.MS_NOSUID),
    "symfollow": (True, m.MS_NOSYMFOLLOW),
    "sync": (False, m.MS_SYNCHRONOUS),
}

#: How mounts made below one reach other namespaces, mount_namespaces(7).
PROPAGATION = {
    "private": m.MS_PRIVATE,
    "rprivate": m.MS_PRIVATE | m.MS_REC,
    "shared": m.MS_SHARED,
    "rshared": m.MS_SHARED | m.MS_REC,
    "slave": m.MS_SLAVE,
    "rslave": m.MS_SLAVE | m.MS_REC,
    "unbindable": m.MS_UNBINDABLE,
    "runbindable": m.MS_UNBINDABLE | m.MS_REC,
}

# Attributes for a mount and all mounts below it: what to set, what to clear.
# The kernel takes the field of access times as a whole; emptied, it says relatime.
_RECURSIVE: dict[str, tuple[int, int]] = {
    "rro": (m.ATTR_RDONLY, 0),
    "rrw": (0, m.ATTR_RDONLY),
    "rnosuid": (m.ATTR_NOSUID, 0),
    "rsuid": (0, m.ATTR_NOSUID),
    "rnodev": (m.ATTR_NODEV, 0),
    "rdev": (0, m.ATTR_NODEV),
    "rnoexec": (m.ATTR_NOEXEC, 0),
    "rexec": (0, m.ATTR_NOEXEC),
    "rnodiratime": (m.ATTR_NODIRATIME, 0),
    "rdiratime": (0, m.ATTR_NODIRATIME),
    "rrelatime": (0, m.ATTR_ATIME),
    "rnorelatime": (m.ATTR_STRICTATIME, m.ATTR_ATIME),
    "rnoatime": (m.ATTR_NOATIME, m.ATTR_ATIME),
    "ratime": (0, m.ATTR_ATIME),
    "rstrictatime": (m.ATTR_STRICTATIME, m.ATTR_ATIME),
    "rnostrictatime": (0, m.ATTR_ATIME),
    "rnosymfollow": (m.ATTR_NOSYMFOLLOW, 0),
    "rsymfollow": (0, m.ATTR_NOSYMFOLLOW),
}

_LABELLED_BY_POLICY = frozenset({"bind", "cgroup", "cgroup2", "mqueue", "proc", "sysfs"})

_OTHERS = ("bind", "idmap", "rbind", "remount", "ridmap", "tmpcopyup")

_ATTRIBUTE_OF = {
    m.MS_RDONLY: m.ATTR_RDONLY,
    m.MS_NOSUID: m.ATTR_NOSUID,
    m.MS_NODEV: m.ATTR_NODEV,
    m.MS_NOEXEC: m.ATTR_NOEXEC,
    m.MS_NODIRATIME: m.ATTR_NODIRATIME,
    m.MS_NOSYMFOLLOW: m.ATTR_NOSYMFOLLOW,
    m.MS_NOATIME: m.ATTR_NOATIME,
    m.MS_STRICTATIME: m.ATTR_STRICTATIME,
}


class MountOptions(msgspec.Struct):
    """What a mount's options mean.

    Attributes:
        flags: ``MS_…`` for mount(2).
        bind: Whether something that is there already is mounted once more; with ``recursive``,
            with the mounts below it.
        propagation: A flag of propagation, with MS_REC for those below too; 0 if not given.
        tree_set, tree_clear: ``ATTR_…`` for the mount and all below it.
        idmap: Translate ids; with ``idmap_recursive``, of the mounts below it too.
        copy_up: Fill a tmpfs with what the image has at its place (``tmpcopyup``).
        remount: Change what is mounted there already, and mount nothing.
        data: The words that only the file system itself understands.
    """

    flags: int = 0
    bind: bool = False
    recursive: bool = False
    propagation: int = 0
    tree_set: int = 0
    tree_clear: int = 0
    idmap: bool = False
    idmap_recursive: bool = False
    copy_up: bool = False
    remount: bool = False
    data: list[str] = []


def names() -> list[str]:
    """All words that are not for the file system, in order."""
    return sorted({*_FLAGS, *PROPAGATION, *_RECURSIVE, *_OTHERS})


def parse(options: Iterable[str]) -> MountOptions:
    """Translate options; later ones win over earlier ones.

    Nothing is refused here: a word that is not known is meant for the file system.
    """
    result = MountOptions()
    for word in options:
        if (found := _FLAGS.get(word)) is not None:
            clears, flags = found
            result.flags = result.flags & ~flags if clears else result.flags | flags
        elif word in ("bind", "rbind"):
            result.bind, result.recursive = True, word == "rbind"
        elif word in PROPAGATION:
            result.propagation = PROPAGATION[word]
        elif (attributes := _RECURSIVE.get(word)) is not None:
            set_, clear = attributes
            result.tree_set = result.tree_set & ~clear | set_
            result.tree_clear = result.tree_clear & ~set_ | clear
        elif word in ("idmap", "ridmap"):
            result.idmap, result.idmap_recursive = True, word == "ridmap"
        elif word == "tmpcopyup":
            result.copy_up = True
        elif word == "remount":
            result.remount = True
        elif word:
            result.data.append(word)
    return result


def with_label(options: list[str], type_: str, label: str) -> list[str]:
    """The options of a new file system whose files all have an SELinux label.

    Those of the kernel's own file systems are labelled by the policy. Source: mount(8), "context".
    """
    if type_ in _LABELLED_BY_POLICY or any(word.startswith("context=") for word in options):
        return options
    # In quotation marks, because the categories of a label are separated by commas.
    return [*options, f'context="{label}"']


def bind_attributes(flags: int) -> int:
    """The ``ATTR_…`` of a bind mount that has these ``MS_…`` flags."""
    attributes = 0
    for flag, attribute in _ATTRIBUTE_OF.items():
        if flags & flag:
            attributes |= attribute
    return attributes
