"""The root of a container that has no mount namespace of its own, or joins one.

It is mounted where others see it, so it has to be taken away again when the container is gone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cellcrate_runtime.linux import mounts, namespaces

if TYPE_CHECKING:
    from cellcrate_runtime.oci.plan import Plan

__all__ = ["SharedRoot", "of", "take_away", "taken_away_on_failure"]


class SharedRoot:
    """Where such a root is.

    Attributes:
        path: In the namespace that it is mounted in.
        mount: Its mount id, by which it is told from what else may be mounted there.
        namespace: The file of that mount namespace; empty for this process's.
    """

    __slots__ = ("mount", "namespace", "path")

    def __init__(self, path: str, mount: int, namespace: str) -> None:
        self.path = path
        self.mount = mount
        self.namespace = namespace


def of(plan: Plan) -> SharedRoot | None:
    """Where the root will be, if the container has no mount namespace of its own."""
    if plan.has_own_mounts:
        return None
    paths = [namespace.path for namespace in plan.linux.namespaces if namespace.type == "mount"]
    return SharedRoot(plan.root_path, mounts.id_of(plan.root), paths[0] if paths else "")


@contextlib.contextmanager
def taken_away_on_failure(root: SharedRoot | None) -> Iterator[None]:
    """Leave no root behind of a container that could not be made."""
    try:
        yield
    except BaseException:
        if root is not None:
            take_away(root)
        raise


def take_away(root: SharedRoot) -> None:
    """Unmount a root and all that is below it, if it is still there."""
    if not root.namespace:
        _unmount(root)
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        # If the namespace has gone, so have its mounts.
        with contextlib.suppress(OSError), open(root.namespace, "rb") as file:
            namespaces.setns(file.fileno(), namespaces.FLAGS["mount"])
            _unmount(root)
    finally:
        os._exit(0)


def _unmount(root: SharedRoot) -> None:
    with contextlib.suppress(OSError):
        top = os.open(root.path, os.O_PATH | os.O_CLOEXEC)
        try:
            is_it = mounts.id_of(top) == root.mount
        finally:
            os.close(top)
        if is_it:
            mounts.unmount(root.path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)
