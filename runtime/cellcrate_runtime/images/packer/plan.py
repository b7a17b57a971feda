"""What is to go into a layer: names in the image, and where each one's content comes from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from cellcrate_runtime.images.errors import PackError

__all__ = ["Below", "Item", "Plan", "merged", "source_date_epoch"]

# In an image as in today's distributions these are links to the folders of that name under /usr.
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
FOLDER_MODE = 0o755
# As many links as the kernel follows in one path, see path_resolution(7).
MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Item:
    """One file, folder or symbolic link of a layer. Everything belongs to root.

    Attributes:
        type: ``stat.S_IFREG``, ``S_IFDIR`` or ``S_IFLNK``.
        mtime: In seconds since 1970; None for the layer's own time.
        source: The file of this machine that holds the content.
        content: The content itself, where no file holds it.
        target: Where a symbolic link leads.
        size: How many bytes of the source to take.
    """

    type: int
    mode: int
    mtime: int | None = None
    source: Path | None = None
    content: bytes = b""
    target: str = ""
    size: int = 0


class Below(Protocol):
    """What lies below a layer in its image."""

    def find(self, name: str, /) -> Item | None: ...


@dataclass(slots=True)
class Plan:
    """A layer to be written. Names are absolute, as in the image, with no links in their folders.

    A plan may stand on what is below it in the image: what that has, the plan need not have.
    """

    below: Below | None = None
    # No file is to be later than this, in seconds since 1970; see reproducible-builds.org.
    latest: int | None = field(default_factory=lambda: source_date_epoch())
    items: dict[str, Item] = field(default_factory=dict)
    # Programs, libraries and folders, by their names in the image, and where they are here.
    origins: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> Item | None:
        """What lies under a name, in this layer or below it."""
        name = merged(name)
        if name in self.items:
            return self.items[name]
        return self.below.find(name) if self.below is not None else None

    def resolve(self, name: str) -> Item | None:
        """What lies under a name, following links; None where they lead nowhere."""
        for _ in range(MOST_LINKS):
            item = self.find(name)
            if item is None or item.type != stat.S_IFLNK:
                return item
            name = os.path.join(os.path.dirname(merged(name)), item.target)
        return None

    def add_folder(self, name: str, mode: int = FOLDER_MODE) -> None:
        """Add an empty folder, and the folders above it."""
        name = merged(name)
        found = self.find(name)
        if found is None or found.type != stat.S_IFDIR or found.mode != mode:
            self._put(name, Item(stat.S_IFDIR, mode))

    def add_text(self, name: str, text: str, mode: int = 0o644) -> None:
        """Add a file with this content."""
        self.add_content(name, text.encode(), mode)

    def add_content(
        self, name: str, content: bytes, mode: int = 0o644, mtime: int | None = None
    ) -> None:
        """Add a file with this content."""
        item = Item(stat.S_IFREG, mode, mtime, content=content, size=len(content))
        self._put(merged(name), item)

    def came_from(self, name: str, source: Path) -> None:
        """Note where a program, a library or a folder of the layer is on this machine."""
        # It becomes JSON, and names need not be UTF-8.
        self.origins[merged(name)] = os.fsencode(source).decode("utf-8", "replace")

    def add_link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._put(merged(name), Item(stat.S_IFLNK, 0o777, target=target))

    def add_file(self, name: str, source: Path, *, size: int | None = None) -> None:
        """Add a file of this machine, following links to it.

        It gets the mode 0755 if it may be executed, 0644 if not: what else the file's mode says
        (who of this machine may write it, whose rights it runs with) means nothing in an image.

        Args:
            name: Its name in the image.
            source: The file.
            size: How many of its bytes to take; by default all.

        Raises:
            PackError: The file is not there, is no file, or may not be read.
        """
        try:
            status = source.stat()
        except OSError as error:
            raise PackError(f"cannot pack {source}: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            raise PackError(f"cannot pack {source}: it is not a file.")
        if not os.access(source, os.R_OK):
            raise PackError(f"cannot pack {source}: you may not read it.")
        item = Item(
            stat.S_IFREG,
            0o755 if status.st_mode & 0o111 else 0o644,
            self.time_of(status),
            source=source,
            size=status.st_size if size is None else min(size, status.st_size),
        )
        self._put(merged(name), item)

    def time_of(self, status: os.stat_result) -> int:
        """The time that a file of this machine gets in the image."""
        seconds = int(status.st_mtime)
        return seconds if self.latest is None else min(seconds, self.latest)

    def newest(self) -> int:
        """The latest time of any file, in seconds since 1970; the layer's own time."""
        return max((item.mtime or 0 for item in self.items.values()), default=0)

    def sorted(self) -> Iterator[tuple[str, Item]]:
        """The items in the order of their names, so that folders come before what they hold."""
        yield from sorted(self.items.items(), key=lambda pair: pair[0].split("/"))

    def _put(self, name: str, item: Item) -> None:
        for folder in reversed(PurePosixPath(name).parents):
            self._need_folder(str(folder))
        self.items[name] = item

    def _need_folder(self, name: str) -> None:
        found = self.find(name)
        if found is not None and not stat.S_ISDIR(found.type):
            raise PackError(f"cannot pack anything below {name}: in the image it is no folder.")
        if name == "/" or name in self.items:
            return
        # A layer names the folders that its files lie in, with the mode that they have below.
        self.items[name] = Item(stat.S_IFDIR, found.mode if found is not None else FOLDER_MODE)
        self._link_merged(name)

    def _link_merged(self, name: str) -> None:
        """With /usr/bin comes the link /bin that leads to it, and so on."""
        top = name.removeprefix("/usr/")
        if top in MERGED and name.startswith("/usr/") and f"/{top}" not in self:
            self.items[f"/{top}"] = Item(stat.S_IFLNK, 0o777, target=f"usr/{top}")


def source_date_epoch() -> int | None:
    """The time that SOURCE_DATE_EPOCH asks for, None where it does not.

    Raises:
        PackError: It is not a number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isdecimal():
        raise PackError(f'SOURCE_DATE_EPOCH is "{text}", and should be seconds since 1970.')
    return int(text)


def merged(name: str) -> str:
    """The name under which a file of this machine lies in an image: /bin/sh is /usr/bin/sh."""
    name = os.path.normpath("/" + name.lstrip("/"))
    top = name.split("/", 2)[1]
    return f"/usr{name}" if top in MERGED and name != f"/{top}" else name
