"""What a worker is told to copy; too long for a message, it is handed over in a file."""

from __future__ import annotations

import msgspec

__all__ = ["CopyRequest", "Fetched", "Written"]


class Written(msgspec.Struct, frozen=True):
    """A file whose content is in the Dockerfile."""

    name: str
    content: bytes


class Fetched(msgspec.Struct, frozen=True):
    """A file that was fetched from an address."""

    name: str
    path: str
    mtime: int  # seconds since 1970


class CopyRequest(msgspec.Struct, kw_only=True):
    """One COPY or ADD, or the folder of a WORKDIR.

    Attributes:
        keyword: The instruction, for messages.
        base: The layers that it is done upon, topmost first.
        origin: The folders that are copied from: layers, topmost first, or a build's context alone.
        where: What is copied from, for messages: "build context".
        sources: Paths in it, which may have wildcards; the words of the instruction.
        written: Files of the Dockerfile itself.
        fetched: Files of other machines.
        destination: Absolute in the image; a slash at its end makes it a folder.
        chown: User and group, by name or number; empty for root.
        chmod: The mode; empty for that of the source.
        excludes: Patterns of what is left out.
        parents: Whether the folders of the sources' paths are kept.
        unpack: Whether sources that are archives are unpacked.
        unpack_fetched: Whether fetched files that are archives are unpacked.
        scratch: A folder for what has to be unpacked; it is removed with the build.
        latest: No file is to be later than this, in seconds since 1970; None for any time.
        now: The time of folders that have to be made, in seconds since 1970.
    """

    keyword: str
    base: list[str]
    origin: list[str] = []
    where: str = "build context"
    sources: list[str] = []
    written: list[Written] = []
    fetched: list[Fetched] = []
    destination: str
    chown: str = ""
    chmod: str = ""
    excludes: list[str] = []
    parents: bool = False
    unpack: bool = False
    unpack_fetched: bool = False
    scratch: str = ""
    latest: int | None = None
    now: int = 0
