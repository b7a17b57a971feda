"""Owners of files, moved into the ids of a user namespace.

Ids stand in a file's inode, and inside two of its extended attributes. The kernel translates all of
them for id-mapped mounts; here it is done by hand, for files that are copied instead.

Source: capabilities(7), "File capability extended attribute versioning"; linux/capability.h,
linux/posix_acl_xattr.h; user_namespaces(7), "Unmapped user and group IDs".
"""

from __future__ import annotations

import functools
import struct

from cellcrate_runtime.linux.idmap import IDRange, translate

__all__ = [
    "ACCESS_CONTROL_LISTS",
    "CAPABILITY",
    "moved_acl",
    "moved_capability",
    "moved_id",
    "restored_acl",
    "restored_capability",
    "restored_id",
]

CAPABILITY = "security.capability"
ACCESS_CONTROL_LISTS = ("system.posix_acl_access", "system.posix_acl_default")

_REVISION_MASK = 0xFF00_0000
_REVISION_1, _REVISION_2, _REVISION_3 = 0x0100_0000, 0x0200_0000, 0x0300_0000
# Revision and flags; permitted and inheritable, low words; the same, high words; the root's id.
_CAPABILITY_2, _CAPABILITY_3 = struct.Struct("<5I"), struct.Struct("<6I")
_WORDS = {_REVISION_1: 3, _REVISION_2: 5, _REVISION_3: 6}

_ACL_VERSION = struct.pack("<I", 2)
_ACL_ENTRY = struct.Struct("<HHI")  # tag, permissions, id
_ACL_GROUP = 0x08
_ACL_WITH_ID = {0x02, _ACL_GROUP}  # ACL_USER, ACL_GROUP


def moved_id(inside: int, ids: IDRange, kind: str = "uid") -> int:
    """What an id of the namespace is outside of it.

    One that the namespace does not have becomes the overflow id, as whom the namespace would see
    its owner, and over whose files its root has no rights.

    Args:
        kind: ``uid`` or ``gid``.
    """
    outside = translate([ids], inside)
    return _overflow_id(kind) if outside is None else outside


def moved_capability(value: bytes, ids: IDRange) -> bytes | None:
    """The value of ``security.capability`` that gives a program the same in the namespace alone.

    Without the id of that namespace's root it would count there too, and on the whole machine.

    Returns None where nobody in the namespace could use it.

    Raises:
        ValueError: It is no such value.
    """
    words = _words_of(value)
    revision = words[0] & _REVISION_MASK
    root = translate([ids], words[5] if revision == _REVISION_3 else 0)
    if root is None:
        return None
    sets = (*words[1:5], 0, 0)[:4]
    flags = words[0] & ~_REVISION_MASK
    return _CAPABILITY_3.pack(_REVISION_3 | flags, *sets, root)


def restored_id(outside: int, ids: IDRange, kind: str = "uid") -> int:
    """What an id outside is to the namespace: the reverse of :func:`moved_id`."""
    return moved_id(outside, _reverse(ids), kind)


def restored_capability(value: bytes, root: int) -> bytes | None:
    """The value of ``security.capability`` as it stands in an image: it counts for any root.

    Args:
        value: What is on disk, of any revision.
        root: The id on disk of the root whose capabilities these are.

    Returns None where they are those of another namespace's root.

    Raises:
        ValueError: It is no such value.
    """
    words = _words_of(value)
    if words[0] & _REVISION_MASK != _REVISION_3:
        return value
    if words[5] != root:
        return None
    flags = words[0] & ~_REVISION_MASK
    return _CAPABILITY_2.pack(_REVISION_2 | flags, *words[1:5])


def moved_acl(value: bytes, ids: IDRange) -> bytes:
    """The value of a POSIX access control list whose users and groups are those of the namespace.

    Raises:
        ValueError: It is no such value.
    """
    if value[:4] != _ACL_VERSION or len(value) % _ACL_ENTRY.size != 4:
        raise ValueError(f"an unknown form of access control list: {value.hex()}")
    moved = bytearray(_ACL_VERSION)
    for tag, permissions, id_ in _ACL_ENTRY.iter_unpack(value[4:]):
        kind = "gid" if tag == _ACL_GROUP else "uid"
        outside = moved_id(id_, ids, kind) if tag in _ACL_WITH_ID else id_
        moved += _ACL_ENTRY.pack(tag, permissions, outside)
    return bytes(moved)


def _words_of(value: bytes) -> list[int]:
    words = [word for (word,) in struct.iter_unpack("<I", value[: len(value) // 4 * 4])]
    revision = words[0] & _REVISION_MASK if words else 0
    if len(value) != 4 * _WORDS.get(revision, -1):
        raise ValueError(f"an unknown form of file capabilities: {value.hex()}")
    return words


def restored_acl(value: bytes, ids: IDRange) -> bytes:
    """The value of an access control list as the namespace sees it: :func:`moved_acl` reversed.

    Raises:
        ValueError: It is no such value.
    """
    return moved_acl(value, _reverse(ids))


def _reverse(ids: IDRange) -> IDRange:
    return IDRange(ids.outside, ids.inside, ids.size)


@functools.cache
def _overflow_id(kind: str) -> int:
    with open(f"/proc/sys/fs/overflow{kind}", encoding="ascii") as file:
        return int(file.read())
