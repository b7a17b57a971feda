"""Identity: which host ids a container's users are, and mounts that translate them on disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

import msgspec

from cellcrate_runtime.linux import mounts, processes
from cellcrate_runtime.linux.namespaces import FLAGS

__all__ = [
    "IDRange",
    "can_idmap",
    "container_range",
    "make_user_namespace",
    "own_ranges",
    "subordinate_ranges",
    "translate",
    "write_mappings",
]

# 65536 ids are what Docker and Podman give, and what images use.
_SIZE = 65536
# 1879048192 to 2147483647 are unused by anybody: systemd, docs/UIDS-GIDS.md, "Summary".
_UNUSED = 0x7000_0000
# Whose subordinate ids are used, the first that has enough of them.
_OWNERS = ("cellcrate", "root")


class IDRange(msgspec.Struct, frozen=True):
    """A run of ids: ``inside`` and those after it are the host's ``outside`` and those after it."""

    inside: int
    outside: int
    size: int


def container_range() -> IDRange:
    """The host ids that containers started by root use: unprivileged, and nobody else's.

    The range of ``cellcrate``, else of ``root``, in both /etc/subuid and /etc/subgid; where there
    is none, 65536 ids from 0x70000000 on.
    """
    for owner in _OWNERS:
        groups = subordinate_ranges("/etc/subgid", owner)
        for start, size in subordinate_ranges("/etc/subuid", owner):
            if size >= _SIZE and (start, size) in groups:
                return IDRange(0, start, _SIZE)
    return IDRange(0, _UNUSED, _SIZE)


def subordinate_ranges(path: str, *owners: str) -> list[tuple[int, int]]:
    """The ranges, as first id and size, that a file like subuid(5) gives a user by name or id."""
    ranges = []
    try:
        with open(path) as file:
            for line in file:
                owner, _, numbers = line.strip().partition(":")
                start, _, size = numbers.partition(":")
                if owner in owners and start.isdecimal() and size.isdecimal():
                    ranges.append((int(start), int(size)))
    except FileNotFoundError:
        pass
    return ranges


def own_ranges(kind: str) -> list[IDRange]:
    """The mappings of this process's user namespace, of users (``uid``) or groups (``gid``)."""
    # Not as text: this user may not be able to load the encoding that Python would look for.
    with open(f"/proc/self/{kind}_map", "rb") as file:
        return [IDRange(*map(int, line.split())) for line in file]


def translate(ranges: Iterable[IDRange], inside: int) -> int | None:
    """The host's id for a container's; None where there is none."""
    for range_ in ranges:
        if 0 <= inside - range_.inside < range_.size:
            return inside - range_.inside + range_.outside
    return None


def write_mappings(pid: int, uids: Iterable[IDRange], gids: Iterable[IDRange]) -> None:
    """Give a process's new user namespace its mappings; needs to be root outside of it.

    Source: user_namespaces(7), "User and group ID mappings": one write, once.
    """
    for name, ranges in (("uid_map", uids), ("gid_map", gids)):
        lines = "".join(f"{r.inside} {r.outside} {r.size}\n" for r in ranges)
        file = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, lines.encode())
        finally:
            os.close(file)


def make_user_namespace(uids: list[IDRange], gids: list[IDRange]) -> int:
    """A descriptor of a new user namespace with these mappings and no process in it.

    Costs a fork; a launcher makes one and keeps it.
    """
    pid, pidfd = processes.clone(FLAGS["user"])
    if not pid:
        while True:
            signal.pause()
    try:
        write_mappings(pid, uids, gids)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)


def can_idmap(path: str, userns_fd: int | None = None) -> bool:
    """Whether the file system at ``path`` can be mounted with translated ids here (it is tried).

    Args:
        userns_fd: A user namespace to try with; where it is None one is made.
    """
    ours = userns_fd is None
    try:
        if userns_fd is None:
            range_ = container_range()
            userns_fd = make_user_namespace([range_], [range_])
        tree = mounts.open_tree(path, clone=True)
        try:
            mounts.set_attributes(tree, idmap=userns_fd)
        finally:
            os.close(tree)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    finally:
        if ours and userns_fd is not None:
            os.close(userns_fd)
    return True
