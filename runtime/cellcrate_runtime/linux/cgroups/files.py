"""Reading and writing control files, with as few system calls as there can be.

A control file is opened by its whole path and never created: the kernel makes every file of a
control group together with its directory.
"""

from __future__ import annotations

import os

from cellcrate_runtime.linux import recording

__all__ = ["pairs", "read", "read_int", "write"]

_CHUNK = 16384


def write(directory: str, name: str, value: str | int) -> None:
    """Write one value to a control file.

    Raises:
        OSError: As open(2) and write(2) say; ENOENT means that the controller is not there.
            ``filename`` is the control file, and ``filename2`` the value.
    """
    file = f"{directory}/{name}"
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)
    except OSError as error:
        error.filename = file
        error.filename2 = str(value)
        raise
    if recording.active is not None:
        recording.active.note("write", file=file, value=str(value))


def read(directory: str, name: str) -> str:
    """Return the text of a control file.

    Raises:
        OSError: As open(2) and read(2) say.
    """
    fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, _CHUNK)
        while more := os.read(fd, _CHUNK):  # a list such as cgroup.procs comes in pieces
            text += more
    finally:
        os.close(fd)
    return text.decode()


def read_int(directory: str, name: str) -> int | None:
    """Return the number in a control file, or None where it says ``max`` or does not exist."""
    try:
        text = read(directory, name).strip()
    except FileNotFoundError:
        return None
    return None if text == "max" else int(text)


def pairs(text: str) -> dict[str, int]:
    """Parse lines of ``name number``, the "flat keyed" form of the kernel's documentation."""
    found = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        found[name] = int(number)
    return found
