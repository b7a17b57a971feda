"""Containers for an ordinary user: the launcher enters a user namespace where the user is root."""

from __future__ import annotations

import contextlib
import os
import pwd

from cellcrate_runtime.linux import credentials, namespaces
from cellcrate_runtime.linux.idmap import IDRange, own_ranges, subordinate_ranges
from cellcrate_runtime.linux.processes import show_to_others

__all__ = ["enter_user_namespace", "has_subordinate_ids", "is_single_id"]

_USER = namespaces.FLAGS["user"]


def enter_user_namespace(living_pid: int | None = None) -> None:
    """Enter a user namespace in which the caller is root; call it first thing, single-threaded.

    The caller's id becomes 0; its subordinate ids (subuid(5)), where it has them, become 1 and up
    through newuidmap(1) and newgidmap(1). Without them only 0 exists, and setgroups(2) is denied.

    Args:
        living_pid: A launcher or shim that already lives in such a namespace: join it instead, so
            that this launcher may handle what that one made.

    Raises:
        OSError: The kernel, or a sandbox around this process, allows no user namespaces.
    """
    if living_pid is not None:
        _join(living_pid)
    else:
        _enter_new()
    # A change of identity closes /proc/<pid> to everyone but the host's root: undo that.
    show_to_others()


def has_subordinate_ids() -> bool:
    """Whether the user has ids of users and of groups to add to its own."""
    return _mappings_with_subordinate_ids(os.getuid(), os.getgid()) is not None


def is_single_id() -> bool:
    """Whether this process's user namespace has one user only."""
    return sum(mapping.size for mapping in own_ranges("uid")) == 1


def _join(pid: int) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        namespaces.setns(pidfd, _USER)
    finally:
        os.close(pidfd)
    credentials.become(0, 0)


def _enter_new() -> None:
    uid, gid = os.getuid(), os.getgid()
    mappings = _mappings_with_subordinate_ids(uid, gid)
    if mappings is None:
        namespaces.unshare(_USER)
    else:
        _enter_while_helpers_map(*mappings)
    # Without subordinate ids, or where the helpers refused them, the user alone is mapped.
    if not _is_written("uid_map"):
        _write("uid_map", f"0 {uid} 1")
    if not _is_written("gid_map"):
        _write("setgroups", "deny")  # what the kernel asks for in return: user_namespaces(7)
        _write("gid_map", f"0 {gid} 1")
    credentials.become(0, 0)


def _write(name: str, line: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:
        file.write(line)


def _mappings_with_subordinate_ids(
    uid: int, gid: int
) -> tuple[list[IDRange], list[IDRange]] | None:
    """The mappings of users and of groups; None where the user has no ids to add to its own."""
    try:
        owners = [pwd.getpwuid(uid).pw_name, str(uid)]
    except KeyError:
        owners = [str(uid)]
    users = subordinate_ranges("/etc/subuid", *owners)
    groups = subordinate_ranges("/etc/subgid", *owners)
    if not users or not groups:
        return None
    return _mapping(uid, users), _mapping(gid, groups)


def _mapping(own: int, subordinate: list[tuple[int, int]]) -> list[IDRange]:
    """0 is ``own``, and what comes after it is the subordinate ranges one after another."""
    mapping = [IDRange(0, own, 1)]
    for start, size in subordinate:
        after = mapping[-1].inside + mapping[-1].size
        mapping.append(IDRange(after, start, size))
    return mapping


def _enter_while_helpers_map(users: list[IDRange], groups: list[IDRange]) -> None:
    """Enter the namespace while a child, which stays outside, has it mapped.

    The helpers carry the set-user-id bit or file capabilities, which count outside only.
    """
    launcher = os.getpid()
    entered_reader, entered_writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(entered_writer)
            if os.read(entered_reader, 1):
                _run_helpers(launcher, users, groups)
        finally:
            os._exit(0)
    os.close(entered_reader)
    try:
        namespaces.unshare(_USER)
        os.write(entered_writer, b"1")
    finally:
        os.close(entered_writer)
        os.waitpid(child, 0)


def _run_helpers(pid: int, users: list[IDRange], groups: list[IDRange]) -> None:
    for helper, ranges in (("newuidmap", users), ("newgidmap", groups)):
        numbers = [str(n) for r in ranges for n in (r.inside, r.outside, r.size)]
        # Where there is no such program, nothing is written, and the caller sees that.
        with contextlib.suppress(FileNotFoundError):
            spawned = os.posix_spawnp(helper, [helper, str(pid), *numbers], os.environ)
            os.waitpid(spawned, 0)


def _is_written(name: str) -> bool:
    with open(f"/proc/self/{name}") as file:
        return bool(file.read())
