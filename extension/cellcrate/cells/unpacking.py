"""An archive out of a container, which nobody has to trust, is unpacked into a folder.

Links are kept as they are, like docker's own command does, and nothing is ever written through one:
neither through a link that the archive brings, nor through one that lay in the folder before.
Python's own filters for this (tarfile, "Extraction filters") came with 3.11.4, and refuse absolute
links, which any /etc is full of.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["UnsafeArchiveError", "unpack"]


class UnsafeArchiveError(Exception):
    """A member of the archive leads out of the folder, or is a device."""


def unpack(archive: IO[bytes], folder: Path, name: str) -> None:
    """Unpack an archive whose members lie under one name; another takes its place.

    Files belong to the caller, and lose their set-user-id and set-group-id bits.

    Args:
        archive: The archive, plain or compressed.
        folder: Where to unpack.
        name: The new name; "." puts what lies below the old one into the folder itself.

    Raises:
        UnsafeArchiveError: A member would be written elsewhere, or is a device or a pipe.
        tarfile.TarError: It is no archive.
    """
    if not name or name.startswith("/") or ".." in name.split("/"):
        raise UnsafeArchiveError(f"{name!r} is no name in a folder")
    with tarfile.open(fileobj=archive, mode="r:*") as tar:
        # What Python's filters would check is checked below; without one, newer versions warn.
        tar.extraction_filter = _as_it_is
        for member in tar:
            member.name = _renamed(member.name, name)
            if member.islnk():
                member.linkname = _renamed(member.linkname, name)
                _clear(folder, member.linkname)
            if member.name == ".":
                continue
            if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
                raise UnsafeArchiveError(f"{member.name} is a device or a pipe")
            _clear(folder, member.name, replace=not member.isdir())
            tar.extract(_owned(member), folder)


def _as_it_is(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    return member


def _renamed(path: str, name: str) -> str:
    parts = path.strip("/").split("/")[1:]
    if ".." in parts:
        raise UnsafeArchiveError(f"{path} leads out of the folder")
    return posixpath.normpath(posixpath.join(name, *parts))


def _clear(folder: Path, path: str, *, replace: bool = False) -> None:
    """Make sure that no link stands on the way to a path; remove one that stands in its place."""
    for step in _steps(folder, path):
        if not step.is_symlink():
            continue
        if not replace or step != folder / path:
            raise UnsafeArchiveError(f"{step} is a link, and nothing is written through links")
        step.unlink()


def _steps(folder: Path, path: str) -> Iterator[Path]:
    for part in Path(path).parts:
        folder = folder / part
        yield folder


def _owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid = os.geteuid(), os.getegid()
    member.uname = member.gname = ""
    member.mode &= 0o777
    return member
