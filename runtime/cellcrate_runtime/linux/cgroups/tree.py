"""The directories of control groups: making, reading, freezing and removing them.

What is here is the same for every controller.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Collection

from cellcrate_runtime.linux import recording

from . import files
from .errors import CgroupBusyError, CgroupError

__all__ = [
    "check_path",
    "controllers",
    "freeze",
    "frozen",
    "hand_down",
    "make",
    "processes",
    "remove",
]


def check_path(path: str) -> None:
    """Refuse a path that is not plain, or that names the root itself.

    Raises:
        CgroupError: It could lead elsewhere.
    """
    names = path.split("/")
    if names[0] != "" or len(names) < 2 or any(n in ("", ".", "..") for n in names[1:]):
        raise CgroupError(f"{path!r} is not the path of a control group, such as /cellcrate/1234.")


def make(root: str, path: str) -> str:
    """Make the directory of a group, and those above it, and return it.

    Raises:
        CgroupBusyError: It exists, and has processes.
        CgroupError: The directory cannot be made.
    """
    directory = root + path
    try:
        try:
            os.mkdir(directory, 0o755)
        except FileNotFoundError:
            os.makedirs(directory, 0o755, exist_ok=True)
    except FileExistsError:
        # An earlier run was killed before it could clean up; what has nobody in it is ours.
        if processes(directory):
            raise CgroupBusyError(f"The control group {path} exists and has processes.") from None
    except OSError as error:
        raise CgroupError(f"{directory} cannot be made: {error.strerror}.") from error
    if recording.active is not None:
        recording.active.note("mkdir", target=directory)
    return directory


def controllers(directory: str) -> list[str]:
    """Return the controllers that a v2 group has."""
    return files.read(directory, "cgroup.controllers").split()


def hand_down(root: str, path: str, wanted: Collection[str]) -> None:
    """See to it that a v2 group has controllers; in a prepared tree it has them already.

    Raises:
        CgroupError: The tree may not be changed.
    """
    if not wanted or set(wanted) <= set(controllers(root + path)):
        return
    from .delegation import enable  # rarely needed, and nothing to keep in every shim's memory

    try:
        enable(root, path, wanted)
    except OSError as error:
        raise CgroupError(
            f"Controllers cannot be handed down to {path}: {error.strerror}."
        ) from error


def processes(directory: str) -> list[int]:
    """Return the processes of a group and of those below it; a group that is gone has none."""
    try:
        pids = [int(line) for line in files.read(directory, "cgroup.procs").split()]
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return []
        raise
    for child in below:
        pids += processes(child)
    return pids


def frozen(directory: str) -> bool:
    """Return whether a v2 group is frozen, or about to be."""
    return files.read(directory, "cgroup.freeze").strip() == "1"


def freeze(directory: str, timeout: float) -> None:
    """Freeze a v2 group and wait until its processes stand still.

    Raises:
        CgroupBusyError: They did not in time; the group has been thawed.
    """
    deadline = time.monotonic() + timeout
    events = os.open(f"{directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    try:
        files.write(directory, "cgroup.freeze", 1)
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while not files.pairs(os.pread(events, 4096, 0).decode()).get("frozen"):
            left = deadline - time.monotonic()
            if left <= 0:
                files.write(directory, "cgroup.freeze", 0)
                raise CgroupBusyError(f"The processes of {directory} did not freeze in time.")
            poll.poll(left * 1000)
    finally:
        os.close(events)


def remove(directory: str, deadline: float) -> None:
    """Remove a group and those below it.

    Raises:
        CgroupBusyError: It still had processes at the deadline, of time.monotonic().
    """
    pause = 0.0005
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise CgroupError(f"{directory} cannot be removed: {error.strerror}.") from error
        else:
            return
        _remove_below(directory, deadline)
        if time.monotonic() > deadline:
            raise CgroupBusyError(
                f"{directory} cannot be removed: it has processes {processes(directory)}."
            )
        time.sleep(pause)  # a process that was killed takes a moment to leave
        pause = min(pause * 2, 0.05)


def _remove_below(directory: str, deadline: float) -> None:
    try:
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for child in below:
        remove(child, deadline)
