"""A container's root: read-only layers with one writable layer over them (overlayfs).

Source: Documentation/filesystems/overlayfs.rst of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

from cellcrate_runtime.linux import credentials, mounts

__all__ = ["mount_overlay"]


def mount_overlay(
    lower: list[str],
    upper: str,
    work: str,
    target: str,
    *,
    userxattr: bool = False,
    idmap_userns_fd: int | None = None,
    attributes: int = 0,
) -> None:
    """Mount an overlay at ``target``, in the caller's own private mount namespace.

    Args:
        lower: Read-only layers, topmost first.
        upper: Where what the container writes is kept.
        work: An empty folder beside ``upper``, for the kernel's use.
        target: The mount point.
        userxattr: Mark deletions with user.overlay.* attributes, as a user namespace must.
        idmap_userns_fd: Translate ids (Linux 5.19): files on disk keep the container's ids, and
            its root is this user namespace's root. The translating mounts that the overlay is made
            of stay at ``target``, beneath it.
        attributes: ``mounts.ATTR_…`` of the mount.

    Raises:
        OSError: The kernel refused; nothing remains mounted.
    """
    with ExitStack() as undo:
        layers, writable = _common_folder(lower), _common_folder([upper, work])
        if idmap_userns_fd is None:
            layers_fd, writable_fd = _opened(layers, undo), _opened(writable, undo)
            owner: AbstractContextManager[None] = contextlib.nullcontext()
        else:
            layers_fd = _translated(layers, target, idmap_userns_fd, undo)
            writable_fd = _translated(writable, target, idmap_userns_fd, undo)
            owner = _owning_files_in(writable_fd)
        # Short names of our own for the two folders: the kernel takes 255 bytes of each path.
        options: list[tuple[str, str | None]] = [
            ("upperdir", _below(writable_fd, writable, upper)),
            ("workdir", _below(writable_fd, writable, work)),
        ]
        if userxattr:
            options.append(("userxattr", None))
        else:
            # Whatever the kernel's configuration says: what a layer changes shall be told from that
            # layer alone. (With userxattr they are off, and may not be named.)
            options += [("redirect_dir", "off"), ("metacopy", "off")]
        names = [_name_below(layers, folder) for folder in lower]
        with owner:
            overlay = _overlay(layers_fd, names, options, attributes)
        try:
            mounts.attach(overlay, target)
        finally:
            os.close(overlay)
        undo.pop_all()
        os.close(layers_fd)
        os.close(writable_fd)


def _common_folder(paths: Sequence[str]) -> str:
    """The deepest folder that all of these absolute paths are in, or are."""
    common = paths[0]
    for path in paths[1:]:
        while common and path != common and not path.startswith(common + "/"):
            common = common.rpartition("/")[0]
    return common or "/"


def _name_below(folder: str, path: str) -> str:
    return path[len(folder) :].lstrip("/") or "."


def _overlay(
    layers: int,
    names: Sequence[str],
    options: Sequence[tuple[str, str | None]],
    attributes: int,
) -> int:
    """The overlay, as a detached mount; ``names`` start at the open folder ``layers``."""
    one_by_one = [("lowerdir+", f"/proc/self/fd/{layers}/{name}") for name in names]
    try:
        return mounts.detached(
            "overlay", [*one_by_one, *options], source="overlay", attributes=attributes
        )
    except OSError as error:
        # Before Linux 6.8 all layers are one option, and the whole fits in 255 bytes or fails.
        if error.errno != errno.EINVAL:
            raise
    together = ("lowerdir", ":".join(_escaped(name) for name in names))
    with _working_directory(layers):
        return mounts.detached(
            "overlay", [together, *options], source="overlay", attributes=attributes
        )


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace(":", "\\:")


def _opened(folder: str, undo: ExitStack) -> int:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    undo.callback(os.close, descriptor)
    return descriptor


def _translated(folder: str, target: str, userns_fd: int, undo: ExitStack) -> int:
    """An id-mapped copy of the mount of ``folder``, attached at ``target``.

    Attached, because until Linux 6.15 overlayfs takes no layers from a detached mount.
    """
    tree = mounts.open_tree(folder, clone=True)
    undo.callback(os.close, tree)
    mounts.set_attributes(tree, idmap=userns_fd)
    mounts.attach(tree, target)
    undo.callback(mounts.unmount, target, mounts.MNT_DETACH)
    return tree


@contextmanager
def _owning_files_in(folder: int) -> Iterator[None]:
    """Make files as the owner of a folder on an id-mapped mount, whose ids ours are not among.

    Overlayfs keeps the credentials of its mounter, and makes files of its own with them.
    """
    status = os.fstat(folder)
    with credentials.file_access_as(status.st_uid, status.st_gid):
        yield


def _below(descriptor: int, folder: str, path: str) -> str:
    return f"/proc/self/fd/{descriptor}/{_name_below(folder, path)}"


@contextmanager
def _working_directory(folder: int) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)
