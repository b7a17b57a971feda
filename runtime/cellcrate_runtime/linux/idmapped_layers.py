"""Whether a container's root can be mounted with translated owners here, found out by doing it.

Two things are needed: id-mapped mounts of the file system (mount_setattr(2)), and an overlayfs that
takes them as its layers, which it does since Linux 5.19.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading

from cellcrate_runtime.linux import idmap, mounts, namespaces
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.linux.overlay import mount_overlay

__all__ = ["why_not"]

_FILE = "file"


def why_not(folder: str, userns_fd: int, ids: IDRange) -> str:
    """Why layers in a folder cannot be mounted with translated owners; empty where they can.

    Args:
        folder: Where layers are kept; a folder is made in it for a moment.
        userns_fd: The user namespace to translate to.
        ids: Its users and groups.

    Raises:
        OSError: Nothing can be made in the folder.
    """
    if not idmap.can_idmap(folder, userns_fd):
        return f"the file system of {folder} has no id-mapped mounts here (mount_setattr(2))"
    place = tempfile.mkdtemp(prefix=".idmap-", dir=folder)
    try:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{place}/{name}")
        with open(f"{place}/lower/{_FILE}", "wb"):
            pass
        return _in_a_mount_namespace(place, userns_fd, ids)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _in_a_mount_namespace(place: str, userns_fd: int, ids: IDRange) -> str:
    """Try it where nobody else sees it: a thread can have a mount namespace, which ends with it."""
    answers = ["the attempt to mount layers with translated owners did not end"]

    def attempt() -> None:
        try:
            answers[0] = _try(place, userns_fd, ids)
        except OSError as error:
            answers[0] = f"overlayfs takes no id-mapped layers here: {error.strerror}"

    thread = threading.Thread(target=attempt, name="try id-mapped layers")
    thread.start()
    thread.join()
    return answers[0]


def _try(place: str, userns_fd: int, ids: IDRange) -> str:
    namespaces.unshare(namespaces.FLAGS["mount"])
    mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
    merged = f"{place}/merged"
    mount_overlay(
        [f"{place}/lower"], f"{place}/upper", f"{place}/work", merged, idmap_userns_fd=userns_fd
    )
    seen = os.stat(f"{merged}/{_FILE}").st_uid
    wanted = os.stat(f"{place}/lower/{_FILE}").st_uid + ids.outside
    if seen != wanted:
        return f"overlayfs shows the owner {seen} of a file in an id-mapped layer, and not {wanted}"
    return ""
