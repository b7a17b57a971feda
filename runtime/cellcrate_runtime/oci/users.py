"""Who a program runs as: names of the container's own ``/etc/passwd`` and ``/etc/group``.

Names mean what they mean in the container, so its files are read, and never the host's: they are
opened inside the container's root, and what is not a file is as good as none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

import msgspec

from cellcrate_runtime.linux import safe_paths
from cellcrate_runtime.oci.errors import OCIError, UserNotFoundError
from cellcrate_runtime.oci.programs import environment
from cellcrate_runtime.oci.spec import Process, User

__all__ = ["complete_environment", "resolve_user"]

_HIGHEST_ID = (1 << 31) - 1  # as Docker has it
_LONGEST_FILE = 4 * 1024 * 1024  # bytes


class _Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


class _Group(msgspec.Struct, frozen=True):
    name: str
    gid: int
    members: list[str]


def resolve_user(rootfs: int | str, name: str, additional_groups: Sequence[str] = ()) -> User:
    """Translate Docker's ``--user`` (``name``, ``uid``, ``name:group``, ``uid:gid``) to numbers.

    Args:
        rootfs: The container's root, as a directory descriptor or a path.
        name: What was asked for; empty means root.
        additional_groups: Names or numbers of ``--group-add``.

    Returns:
        The user; its additional groups are its own group, then those of the group file that it is a
        member of (unless a group was asked for), then ``additional_groups``.

    Raises:
        UserNotFoundError: There is no such user or group in the container.
        OCIError: An id is out of range.
    """
    if isinstance(rootfs, str):
        root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return resolve_user(root, name, additional_groups)
        finally:
            os.close(root)
    user_part, _, group_part = name.partition(":")
    account = _find_account(rootfs, user_part)
    gid = account.gid
    memberships: list[int] = []
    if group_part:
        gid = _find_group(rootfs, group_part)
    elif account.name:
        memberships = [g.gid for g in _groups(rootfs) if account.name in g.members]
    added = [_find_group(rootfs, group) for group in additional_groups]
    # The own group comes first, or leaving it out would open files that it is shut out from
    # (CVE-2022-36109).
    return User(
        uid=account.uid,
        gid=gid,
        additional_gids=list(dict.fromkeys([gid, *memberships, *added])),
    )


def complete_environment(root: int, process: Process) -> None:
    """Add HOME to the environment of a process, from the container's passwd file.

    It is left alone if it has a value; of several, the last one counts.
    """
    if environment(process.env).get("HOME"):
        return
    homes = (account.home for account in _accounts(root) if account.uid == process.user.uid)
    process.env = [*process.env, f"HOME={next(homes, '') or '/'}"]


def _find_account(root: int, wanted: str) -> _Account:
    number = _as_id(wanted or "0")
    for account in _accounts(root):
        if account.name == wanted or account.uid == number:
            return account
    if number is None:
        raise UserNotFoundError(f"unable to find user {wanted}: no matching entries in passwd file")
    return _Account("", number, 0, "/")


def _find_group(root: int, wanted: str) -> int:
    number = _as_id(wanted)
    for group in _groups(root):
        if group.name == wanted or group.gid == number:
            return group.gid
    if number is None:
        raise UserNotFoundError(f"unable to find group {wanted}: no matching entries in group file")
    return number


def _as_id(text: str) -> int | None:
    if not (text.isascii() and text.lstrip("-").isdecimal()):
        return None
    number = int(text)
    if not 0 <= number <= _HIGHEST_ID:
        raise OCIError(f"uids and gids must be in range 0-{_HIGHEST_ID}: {text}", "invalid")
    return number


def _accounts(root: int) -> Iterator[_Account]:
    """The lines of passwd(5) that make sense."""
    for name, _, uid, gid, _, home, *_ in _lines(root, "/etc/passwd", fields=7):
        if uid.isdecimal() and gid.isdecimal():
            yield _Account(name, int(uid), int(gid), home)


def _groups(root: int) -> Iterator[_Group]:
    """The lines of group(5) that make sense."""
    for name, _, gid, members, *_ in _lines(root, "/etc/group", fields=4):
        if gid.isdecimal():
            yield _Group(name, int(gid), members.split(","))


def _lines(root: int, path: str, *, fields: int) -> Iterator[list[str]]:
    for line in _read(root, path).splitlines():
        parts = line.strip().split(":")
        # Short lines are used as far as they go, as Docker does.
        if parts[0] and not line.startswith("#"):
            yield parts + [""] * (fields - len(parts))


def _read(root: int, path: str) -> str:
    """A file of the container's; empty if it has none."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    try:
        file = safe_paths.open_inside(root, path, flags)
    except OSError:
        return ""
    try:
        size = os.fstat(file).st_size if stat.S_ISREG(os.fstat(file).st_mode) else 0
        return os.read(file, min(size, _LONGEST_FILE)).decode(errors="replace")
    finally:
        os.close(file)
