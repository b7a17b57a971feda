"""What is mounted in this process's mount namespace: proc_pid_mountinfo(5)."""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

__all__ = ["Mount", "read"]


class Mount(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        id, parent: Mount ids, of it and of what it is mounted on.
        root: What of its file system is seen.
        point: Where that is.
        options: Those of the file system, not of the mount.
    """

    id: int
    parent: int
    root: str
    point: str
    type: str
    options: list[str]


def read(types: Container[str] | None = None) -> Iterator[Mount]:
    """Read the table, or what has file systems of these types."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.rstrip("\n").partition(" - ")
            type_, _, options = after.split(" ")[:3]  # the second one may be empty
            if types is None or type_ in types:
                id_, parent, _, root, point, *_ = before.split()
                yield Mount(
                    int(id_), int(parent), _path(root), _path(point), type_, options.split(",")
                )


def _path(written: str) -> str:
    """A path as it is; blanks and backslashes are written as octal numbers."""
    if "\\" not in written:
        return written
    text = written.encode("utf-8", "surrogateescape").decode("unicode_escape")
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
