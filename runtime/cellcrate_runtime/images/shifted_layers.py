"""Copies of layers for containers whose users are not the machine's, where mounts cannot translate.

A container's root should be nobody special outside. Mostly its layers are mounted with translated
owners (mount_setattr(2)), and all containers share the same files. Where the kernel or the file
system has no such mounts, a layer gets one copy, whose files belong to the users' ids outside, and
which all containers with those ids share. It is made when the first of them starts.

A copy lies in its layer's folder, ``layers/<diff id>/shifted-<first id>-<number of ids>``, and so
ends with its layer. Like that, it is built under a temporary name and renamed, and one that a crash
of the machine may have left incomplete is not used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from pathlib import Path

import msgspec

from cellcrate_runtime.images.files import locked
from cellcrate_runtime.images.layers import TEMPORARY, LayerStore
from cellcrate_runtime.images.settling import Settler, is_trustworthy, mark
from cellcrate_runtime.images.shifted_copy import Copied, copy_shifted
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.linux.tree_removal import remove_tree

__all__ = ["ShiftedLayers"]

_PREFIX = "shifted-"
_INFO = "copy.json"
_SHOWN = 3  # so many paths are named in a warning
_log = logging.getLogger("cellcrate.images")


class ShiftedLayers:
    """The copies of all layers. Safe to use from several threads and processes at once."""

    def __init__(self, root: Path, layers: LayerStore) -> None:
        self._layers = layers
        # Not the lock of the layers: unpacking one need not wait for a copy of another.
        self._lock_path = root / "shifted.lock"
        self._settler = Settler()

    def path(self, diff_id: str, ids: IDRange) -> Path:
        """The folder of a copy's files, there or not."""
        return self._folder(diff_id, ids) / "fs"

    def has(self, diff_id: str, ids: IDRange) -> bool:
        """Whether there is a copy, whole also if the machine has crashed since."""
        return is_trustworthy(self._folder(diff_id, ids))

    def ensure(self, diff_id: str, ids: IDRange) -> Path:
        """Return the folder of a copy's files, making the copy if there is none.

        One copy is made at a time, so that two callers do not do the same work twice.

        Raises:
            StoreFullError: There is no room for it; nothing of it is left.
            OSError: The file system cannot hold something.
        """
        if not self.has(diff_id, ids):
            with locked(self._lock_path):
                if not self.has(diff_id, ids):
                    self._make(diff_id, ids)
        return self.path(diff_id, ids)

    def size(self, diff_id: str) -> int:
        """The bytes in the files of all copies of a layer."""
        return sum(map(_size_of, self._layers.path(diff_id).parent.glob(f"{_PREFIX}*")))

    def _folder(self, diff_id: str, ids: IDRange) -> Path:
        layer = self._layers.path(diff_id).parent
        return layer / f"{_PREFIX}{ids.outside}-{ids.size}"

    def _make(self, diff_id: str, ids: IDRange) -> None:
        began = time.monotonic()
        final = self._folder(diff_id, ids)
        with self._layers.building() as folder:
            copied = copy_shifted(
                os.fspath(self._layers.path(diff_id)), os.fspath(folder / "fs"), ids
            )
            (folder / _INFO).write_bytes(msgspec.json.encode(copied))
            mark(folder)
            self._remove_untrustworthy(final)
            os.rename(folder, final)
        self._settler.add(final)
        _log.info(
            "copied layer %s (%d bytes) for the users %d to %d in %.2f s",
            *(diff_id, copied.size, ids.outside, ids.outside + ids.size - 1),
            time.monotonic() - began,
        )
        _warn_of_nobodys(diff_id, copied)

    def _remove_untrustworthy(self, copy: Path) -> None:
        """Remove what a crash of the machine left; renamed first, so that no part counts as it."""
        grave = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._layers.folder))
        with contextlib.suppress(FileNotFoundError):
            os.rename(copy, grave / "copy")
        remove_tree(os.fspath(grave))


def _size_of(copy: Path) -> int:
    """The bytes in a copy's files; 0 for one that cannot be used, or is being removed."""
    if not is_trustworthy(copy):
        return 0
    try:
        return msgspec.json.decode((copy / _INFO).read_bytes(), type=Copied).size
    except FileNotFoundError:
        return 0


def _warn_of_nobodys(diff_id: str, copied: Copied) -> None:
    """Say which files have an owner that no user of the containers can be, as user namespaces do.

    Source: user_namespaces(7), "Unmapped user and group IDs".
    """
    if copied.nobodys:
        shown = ", ".join(copied.nobodys[:_SHOWN])
        more = len(copied.nobodys) - _SHOWN
        _log.warning(
            "layer %s: %s%s: the ids of the owners are beyond those of a container, which will see "
            "nobody as the owner",
            *(diff_id, shown, f" and {more} more" if more > 0 else ""),
        )
