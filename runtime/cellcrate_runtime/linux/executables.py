"""A program that cannot be overwritten through ``/proc/PID/exe`` of those who run it.

A process that joins a container and is made to execute ``/proc/self/exe`` there runs this program
with the container's libraries, and so in the container's hands (CVE-2019-5736). What those hands
then hold shall be good for reading only.
"""

from __future__ import annotations

import fcntl
import os

from cellcrate_runtime.linux import mounts

__all__ = ["open_protected", "variables_to_find_library"]

_MFD_EXEC = 0x10  # linux/memfd.h, since Linux 6.3
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_AT_ONCE = 16 * 1024 * 1024  # bytes


def open_protected(path: str) -> int | None:
    """Open a program so that whoever executes the descriptor cannot write to the file.

    It is opened through a read-only mount that has no place in any tree, which costs nothing; where
    this user may not mount, it is a sealed copy in memory, see memfd_create(2).

    Returns:
        A descriptor to execute, or None: the file is not this user's to write, is such a protected
        one already, or this machine allows neither way.
    """
    if not os.access(path, os.W_OK) or _is_sealed(path):
        return None
    for way in (_through_read_only_mount, _as_sealed_copy):
        try:
            return way(path)
        except OSError:
            continue
    return None


def variables_to_find_library() -> dict[str, str]:
    """The environment variables by which this interpreter, executed so, finds its shared library.

    There are some only where it has such a library. The loader may have found it by its place
    relative to the interpreter, ``$ORIGIN`` in ld.so(8), which is unknown then.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, slash, rest = line.rstrip("\n").partition("/")
            folder, name = os.path.split(slash + rest)
            if name.startswith("libpython"):
                before = os.environ.get("LD_LIBRARY_PATH")
                return {"LD_LIBRARY_PATH": f"{folder}:{before}" if before else folder}
    return {}


def _is_sealed(path: str) -> bool:
    with open(path, "rb") as file:
        try:
            return bool(fcntl.fcntl(file, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
        except OSError:
            return False  # it lies in no memory


def _through_read_only_mount(path: str) -> int:
    tree = mounts.open_tree(path, clone=True)
    try:
        mounts.set_attributes(tree, set_=mounts.ATTR_RDONLY)
    except OSError:
        os.close(tree)
        raise
    return tree


def _as_sealed_copy(path: str) -> int:
    copy = _make_memory_file(os.path.basename(path))
    try:
        with open(path, "rb") as file:
            while os.sendfile(copy, file.fileno(), None, _AT_ONCE):
                pass
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(copy)
        raise
    return copy


def _make_memory_file(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _MFD_EXEC)
    except OSError:
        return os.memfd_create(name, flags)  # before Linux 6.3 all of them can be executed
