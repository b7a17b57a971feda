"""Layers made by hand: archives of any entries, also such as no honest tool writes."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cellcrate_runtime.images import Image

__all__ = [
    "AddImage",
    "Entry",
    "RunInside",
    "digest",
    "folder",
    "hardlink",
    "make_archive",
    "symlink",
]

AddImage = Callable[..., Image]
RunInside = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Entry:
    """One entry of an archive."""

    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    linkname: str = ""
    uid: int = 0
    gid: int = 0
    mtime: float = 1_000_000_000
    xattrs: tuple[tuple[str, str], ...] = ()
    device: tuple[int, int] = (0, 0)


def folder(name: str, mode: int = 0o755) -> Entry:
    return Entry(name, type=tarfile.DIRTYPE, mode=mode)


def symlink(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


def hardlink(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.LNKTYPE, linkname=target)


def make_archive(entries: Iterable[Entry]) -> bytes:
    """A tar archive, as any layer might be."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.size = len(entry.content)
            info.type, info.mode, info.linkname = entry.type, entry.mode, entry.linkname
            info.uid, info.gid, info.mtime = entry.uid, entry.gid, entry.mtime
            info.devmajor, info.devminor = entry.device
            info.pax_headers = {f"SCHILY.xattr.{name}": value for name, value in entry.xattrs}
            tar.addfile(info, io.BytesIO(entry.content))
    return stream.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
