"""What an overlay's writable layer changes, as the archive of an image's layer.

Everything in that folder is an entry, also a folder that is there only because something in it has
changed. Overlayfs' marks become those of the specification: what hides a file below is an empty
file ``.wh.NAME``, and a folder that hides everything below has ``.wh..wh..opq`` as its first file.

Source: OCI image-spec 1.1, layer.md. For overlayfs' side see
:mod:`cellcrate_runtime.linux.overlay_marks`.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Collection
from pathlib import Path

from cellcrate_runtime.images.digests import Writable
from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.file_packer import FilePacker, Found, walk
from cellcrate_runtime.images.tar_writer import TarWriter
from cellcrate_runtime.linux.idmap import IDRange
from cellcrate_runtime.linux.overlay_marks import is_opaque, is_whiteout, leads_elsewhere

__all__ = ["OPAQUE_WHITEOUT", "WHITEOUT", "write_layer"]

WHITEOUT = ".wh."
OPAQUE_WHITEOUT = ".wh..wh..opq"
# Of a container's root folder, unless somebody has changed it: it is no entry then.
_ROOT_MODE = 0o755


def write_layer(
    changes: Path,
    output: Writable,
    *,
    ids: IDRange | None = None,
    latest: int | None = None,
    unchanged: Collection[str] = (),
    userxattr: bool | None = None,
) -> None:
    """Write what a writable layer changes as a layer's archive; the same files, the same bytes.

    Entries are sorted. Times are kept to the nanosecond, and so are owners (as numbers), modes,
    hard links, devices, file capabilities, access control lists and ``user.*``. Sockets are left
    out. When something was removed is not told; the root folder is an entry if its mode or owner is
    not the usual one.

    Args:
        changes: The folder that is an overlay's ``upperdir``. Nobody else may change it meanwhile,
            unless this process is shut into it (chroot(2)).
        output: Where the archive goes, uncompressed.
        ids: The ids that the files' owners have on disk in place of a container's; None for those.
        latest: No file is to be later than this, in seconds since 1970: SOURCE_DATE_EPOCH.
        unchanged: Paths, absolute in the container, that are no changes in themselves, such as
            mount points: empty files and folders there are left out.
        userxattr: Whether the overlay is mounted with this option; None where that is not known.

    Raises:
        ImageError: Something in the folder cannot be told by a layer.
        OSError: The folder cannot be read, or the output not be written.
    """
    archive = TarWriter(output)
    packer = FilePacker(archive, ids=ids, latest=latest)
    root = Found(str(changes), ".", os.lstat(changes))
    owner = ids.outside if ids is not None else 0
    if _identity(root.status) != (_ROOT_MODE, owner, owner):
        packer.add(root)
    layer = _LayerWriter(archive, packer, unchanged, userxattr)
    for found in walk(str(changes), None):
        layer.add(found)
    archive.finish()


class _LayerWriter:
    def __init__(
        self,
        archive: TarWriter,
        packer: FilePacker,
        unchanged: Collection[str],
        userxattr: bool | None,
    ) -> None:
        self._userxattr = userxattr
        self._archive = archive
        self._packer = packer
        self._unchanged = frozenset(path.strip("/") for path in unchanged)
        # Folders that are entries only if something in them is.
        self._waiting: list[Found] = []

    def add(self, found: Found) -> None:
        while self._waiting and not found.name.startswith(f"{self._waiting[-1].name}/"):
            self._waiting.pop()
        if is_whiteout(found.status, found.path):
            self._add_mark(_beside(found.name, WHITEOUT + os.path.basename(found.name)))
            return
        _refuse_what_no_layer_tells(found)
        opaque = found.is_folder and is_opaque(found.path, userxattr=self._userxattr)
        if found.name in self._unchanged and not opaque:
            if found.is_folder:
                self._waiting.append(found)
                return
            if not found.status.st_size:
                return
        self._add_waiting()
        self._packer.add(found)
        if opaque:
            self._add_mark(f"{found.name}/{OPAQUE_WHITEOUT}")

    def _add_mark(self, name: str) -> None:
        self._add_waiting()
        entry = tarfile.TarInfo(name)
        entry.mode = 0
        self._archive.add(entry)

    def _add_waiting(self) -> None:
        for folder in self._waiting:
            self._packer.add(folder)
        self._waiting.clear()


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def _beside(name: str, other: str) -> str:
    return os.path.join(os.path.dirname(name), other)


def _refuse_what_no_layer_tells(found: Found) -> None:
    name = os.path.basename(found.name)
    if name.startswith(WHITEOUT):
        raise ImageError(
            f'the container has a file "/{found.name}", and in a layer a name that begins with '
            f'"{WHITEOUT}" means that a file is removed. Rename or remove it.'
        )
    regular = stat.S_ISREG(found.status.st_mode)
    if (found.is_folder or regular) and leads_elsewhere(found.path):
        raise ImageError(
            f'the content of "/{found.name}" lies in a layer below (an overlayfs with redirect_dir '
            "or metacopy wrote it), and cannot be told from this layer alone."
        )
