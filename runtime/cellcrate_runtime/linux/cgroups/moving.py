"""Moving a process into a control group without waiting for the kernel.

While a process is moved, no process may fork or end. The kernel announces that with an RCU grace
period, some ten milliseconds in which every processor has to pass by, and takes the announcement
back one grace period after the last move. So a move that comes soon after another does not wait.
Source: kernel/cgroup/cgroup.c, ``cgroup_attach_lock``, and kernel/rcu/sync.c.
"""

from __future__ import annotations

import os
from functools import lru_cache

from . import files
from .hierarchy import own_directories, own_paths

__all__ = ["announce_move"]


def announce_move() -> None:
    """Have the next move begin at once, by moving this process to where it is.

    This takes as long as the wait that it saves, so it belongs in a thread, as soon as it is
    clear that a container will be started. It changes nothing; where it cannot be done, the
    container starts a little later.
    """
    directory = _own_directory()
    if directory is None:
        return
    try:
        files.write(directory, "cgroup.procs", os.getpid())
    except OSError:
        _own_directory.cache_clear()  # somebody moved this process


@lru_cache(maxsize=1)
def _own_directory() -> str | None:
    """Return the directory of this process's own group in a tree that it may write."""
    paths = own_paths()
    for name, directory in own_directories().items():
        path = paths.get(name)
        # A group that is not to be seen here has the top of its mount in its stead.
        is_own = path is not None and (path == "/" or os.path.basename(path) in directory)
        if is_own and os.access(f"{directory}/cgroup.procs", os.W_OK):
            return directory
    return None
