"""A null device that is not the host's.

Some runtimes give what a program has as its standard streams to the container's root (fchown(2)),
crun 1.8 even /dev/null. That would be the host's, and the container could then close it to
everybody.
"""

from __future__ import annotations

import functools
import os
import stat

from cellcrate_runtime.linux import mounts

__all__ = ["instead_of_the_hosts"]

_NULL = os.makedev(1, 3)  # the kernel's Documentation/admin-guide/devices.txt


def instead_of_the_hosts(stream: int) -> int:
    """Return the descriptor to give a runtime for a stream: another one where it is /dev/null."""
    status = os.fstat(stream)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
        return stream
    own = _own_null()
    return stream if own is None else own


@functools.cache
def _own_null() -> int | None:
    """A null device on a file system that nobody else has, open; it ends with this process.

    None where this user may make no devices, and so not change the owner of the host's either.
    """
    tree = mounts.detached("tmpfs", [("mode", "755")], source="tmpfs")
    try:
        os.mknod("null", stat.S_IFCHR | 0o666, _NULL, dir_fd=tree)
        null = os.open("null", os.O_RDWR | os.O_CLOEXEC, dir_fd=tree)
        os.fchmod(null, 0o666)  # whatever the umask is
        return null
    except PermissionError:
        return None
    finally:
        os.close(tree)
