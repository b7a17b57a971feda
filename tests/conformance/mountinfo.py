"""A mount, as proc_pid_mountinfo(5) tells of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Mounted:
    """One mount.

    Attributes:
        options: Those of the mount and those that any file system has.
        propagation: shared, master, unbindable, or nothing.
        type: Of the file system.
        of_file_system: Its options.
    """

    options: list[str]
    propagation: set[str]
    type: str
    of_file_system: list[str]


def mounted_at(mountinfo: str, destination: str) -> Mounted:
    """The mount that is seen at a place: the last one of those that are there."""
    for line in reversed(mountinfo.splitlines()):
        before, _, after = line.partition(" - ")
        fields = before.split()
        if fields[4] == destination:
            type_, _, of_file_system = after.split()
            options = [*fields[5].split(","), *of_file_system.split(",")]
            propagation = {word.partition(":")[0] for word in fields[6:]}
            return Mounted(options, propagation, type_, of_file_system.split(","))
    raise AssertionError(f"nothing is mounted at {destination}:\n{mountinfo}")
