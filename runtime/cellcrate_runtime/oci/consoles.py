"""The terminal, or the pipes, that a program gets as its standard input and output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

import msgspec

from cellcrate_runtime.linux import mounts, safe_paths, terminals
from cellcrate_runtime.oci.spec import Process

__all__ = ["Stdio", "give_to", "provide"]


class Stdio(msgspec.Struct, frozen=True):
    """The descriptors that a program gets as its 0, 1 and 2. They stay the caller's to close."""

    stdin: int
    stdout: int
    stderr: int


def provide(
    root: int, process: Process, stdio: Stdio | None, *, as_console: bool = False
) -> int | None:
    """Connect this process to a new terminal of the container's, or to ``stdio``, or to nothing.

    Args:
        root: The container's root.
        process: Says whether it has a terminal, its size, and whose it is.
        stdio: What to connect to where it has none; without either, /dev/null.
        as_console: Make the terminal the container's /dev/console too.

    Returns:
        The master of the terminal, if there is one.
    """
    if process.terminal:
        master, slave = _open_terminal(root)
        if process.console_size is not None:
            terminals.set_size(master, process.console_size.height, process.console_size.width)
        with contextlib.suppress(OSError):  # as in give_to
            os.fchown(slave, process.user.uid, -1)
        if as_console:
            _mount_console(root, slave)
        _connect(slave, slave, slave)
        terminals.adopt(0)
        return master
    if stdio is None:
        nothing = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        stdio = Stdio(nothing, nothing, nothing)
    _connect(stdio.stdin, stdio.stdout, stdio.stderr)
    return None


def _open_terminal(root: int) -> tuple[int, int]:
    ptmx = safe_paths.open_inside(root, "/dev/pts/ptmx")
    try:
        return terminals.open_pair(ptmx)
    finally:
        os.close(ptmx)


def _mount_console(root: int, slave: int) -> None:
    place = safe_paths.make_file(root, "/dev/console")
    try:
        mounts.bind(f"/proc/self/fd/{slave}", place)
    finally:
        os.close(place)


def _connect(*descriptors: int) -> None:
    """Make these 0, 1 and 2."""
    # Moved out of the way first: one of them may be the 0, 1 or 2 of another.
    above = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in descriptors]
    for standard, descriptor in enumerate(above):
        os.dup2(descriptor, standard)


def give_to(uid: int, stdio: Stdio) -> None:
    """Make pipes the program's user's, so that it can open /dev/stdout and its like again."""
    for descriptor in {stdio.stdin, stdio.stdout, stdio.stderr}:
        status = os.fstat(descriptor)
        if stat.S_ISFIFO(status.st_mode) and status.st_uid != uid:
            # Somebody else's pipe can still be read and written through the descriptor. EINVAL: the
            # user does not exist here, which is said when the program is to become that user.
            with contextlib.suppress(OSError):
                os.fchown(descriptor, uid, -1)
