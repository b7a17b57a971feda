"""Stacked folders looked at as overlayfs would show them, without mounting anything.

Links are resolved here, inside the stack: none of them is ever followed by the kernel, so none can
lead anywhere else. Nobody may change the folders meanwhile, which holds for a store's layers and
for a build's context.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cellcrate_runtime.linux.overlay_marks import is_opaque, is_whiteout
from cellcrate_runtime.linux.safe_paths import follow

__all__ = ["MergedTree", "Node", "Parts", "resolve"]

Parts: TypeAlias = tuple[str, ...]
"""A path below the root, in its parts."""


class Linkable(Protocol):
    """Something that may be a symbolic link."""

    @property
    def link(self) -> str | None:
        """Where it leads; None for what is no link."""


@dataclass(frozen=True, slots=True)
class Node:
    """A file or folder of the stack.

    Attributes:
        path: Where it lies on this machine: in the topmost layer that has it.
        status: What lstat(2) says of it.
        folders: Of a folder, the folders of its name that are merged, topmost first.
    """

    path: str
    status: os.stat_result
    folders: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether something may lie in it."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def link(self) -> str | None:
        """Where a symbolic link leads; None for what is none."""
        return os.readlink(self.path) if stat.S_ISLNK(self.status.st_mode) else None


class MergedTree:
    """A stack of folders.

    Args:
        layers: The folders, topmost first; none for an empty stack.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self._known: dict[Parts, Node | None] = {}
        if layers:
            self._known[()] = Node(layers[0], os.lstat(layers[0]), tuple(layers))

    def at(self, parts: Parts) -> Node | None:
        """What lies at a path; None where nothing does. No link on the way is followed."""
        if parts not in self._known:
            above = self.at(parts[:-1]) if parts else None
            self._known[parts] = _child(above.folders, parts[-1]) if above else None
        return self._known[parts]

    def names(self, parts: Parts) -> list[str]:
        """The names in a folder, sorted; none for what is no folder."""
        node = self.at(parts)
        found = {name for folder in (node.folders if node else ()) for name in os.listdir(folder)}
        return sorted(name for name in found if self.at((*parts, name)) is not None)

    def find(self, path: str) -> tuple[Parts, Node]:
        """Follow a path through links; return where it leads and what is there.

        Raises:
            FileNotFoundError: Nothing is there.
            OSError: It leads through a file, or in a circle.
        """
        parts = resolve(self.at, path)
        node = self.at(parts)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return parts, node


def resolve(look: Callable[[Parts], Linkable | None], path: str, *, last: bool = True) -> Parts:
    """Follow a path through links, with the root standing for ``/`` and nothing above it.

    What does not exist is taken as it is written.

    Args:
        look: What lies at a path.
        path: Absolute, or relative to the root.
        last: Whether a link is followed that is the last part.

    Raises:
        OSError: ELOOP, it leads through too many links.
    """

    def link_at(names: list[str], is_last: bool) -> str | None:
        found = look(tuple(names)) if last or not is_last else None
        return found.link if found is not None else None

    return tuple(follow(path, link_at))


def _child(folders: Sequence[str], name: str) -> Node | None:
    """Look a name up in merged folders."""
    first: Node | None = None
    merged: list[str] = []
    for folder in folders:
        path = f"{folder}/{name}"
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if is_whiteout(status, path):
            break
        if not stat.S_ISDIR(status.st_mode):
            if first is None:
                return Node(path, status)
            break  # a folder above hides it
        first = first or Node(path, status)
        merged.append(path)
        if is_opaque(path):
            break
    return Node(first.path, first.status, tuple(merged)) if first else None
