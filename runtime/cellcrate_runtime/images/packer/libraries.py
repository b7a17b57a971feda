"""The libraries that programs need, found as the dynamic loader would find them.

Source: ld.so(8). Nothing is executed: ldd(1) runs the loader of the program that it looks at.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.images.errors import PackError
from cellcrate_runtime.images.packer.elf import Elf, read_elf
from cellcrate_runtime.images.packer.loader_cache import DEFAULT_FOLDERS, cached_libraries
from cellcrate_runtime.images.packer.plan import Plan, merged

__all__ = ["Libraries"]

PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder that a program names for its libraries: here, and in the image.

    One that it names relative to itself ($ORIGIN) stays beside it in the image. One that exists on
    this machine alone has no place there: the library goes to the usual folder, where the loader
    looks when it does not find the place.
    """

    here: str
    there: str | None


@dataclass(frozen=True, slots=True)
class _Object:
    """A program or library on its way into the image."""

    source: Path
    name: str
    elf: Elf
    # DT_RPATH of those that had it loaded, which the loader searches too.
    inherited: tuple[_Place, ...] = ()

    def places(self, folders: Sequence[str]) -> tuple[_Place, ...]:
        """Folders of this file's headers, with the loader's $ORIGIN filled in."""
        here, there = str(self.source.parent.resolve()), os.path.dirname(self.name)
        return tuple(
            _Place(
                here=_expand(folder, here),
                there=merged(_expand(folder, there)) if "ORIGIN" in folder else None,
            )
            for folder in folders
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """A library, and the name that the image must have it under (None: the usual folder)."""

    source: Path
    elf: Elf
    name: str | None


class Libraries:
    """Brings programs into a plan together with every library that they need."""

    def __init__(self, plan: Plan, *, strip: bool = False) -> None:
        """Prepare for one plan.

        Args:
            plan: Where programs and libraries are added.
            strip: Leave out what lies behind the last byte that is loaded: symbol tables and
                debugging information. Not for programs that carry data of their own there.
        """
        self._plan = plan
        self._strip = strip
        self._elves: dict[Path, Elf | None] = {}
        self._usual_folders: dict[tuple[int, int, int], Path] = {}

    def add(self, source: Path, name: str) -> Elf | None:
        """Add a file under a name in the image, and what it needs if it is a program or library.

        Returns its headers, None if it is neither.

        Raises:
            PackError: The file, or a library that it needs, cannot be found or read.
        """
        elf = self._read(source)
        self._plan.add_file(name, source, size=self._size(elf))
        if elf is not None:
            self._add_needed(_Object(source, merged(name), elf))
        return elf

    def add_library(self, soname: str, like: Elf) -> bool:
        """Add a library that programs load by name while they run; False if there is none."""
        found = self._search(soname, like)
        if found is None:
            return False
        taken = self._take(_Object(found.source, "", like), soname, found)
        if taken is not None:
            self._add_needed(taken)
        return True

    def _add_needed(self, first: _Object) -> None:
        waiting = deque([first])
        while waiting:
            item = waiting.popleft()
            self._add_interpreter(item)
            for soname in item.elf.needed:
                found = self._find(item, soname)
                if found is None:
                    raise PackError(
                        f"{item.source} needs the library {soname}, which is nowhere that the "
                        "loader looks. Install it, or tell ldconfig of its folder."
                    )
                taken = self._take(item, soname, found)
                if taken is not None:
                    waiting.append(taken)

    def _add_interpreter(self, item: _Object) -> None:
        # The kernel looks for the loader under the very name that the program gives.
        loader = item.elf.interpreter
        if loader is not None and loader not in self._plan:
            self._plan.add_file(loader, Path(loader))
            self._plan.came_from(loader, Path(loader))

    def _take(self, needer: _Object, soname: str, found: _Found) -> _Object | None:
        """Put a library into the plan; None if it is there already."""
        name = found.name or self._usual_name(soname, found)
        present = self._plan.resolve(name)
        if present is not None and present.source is not None:
            if _same(present.source, found.source, found.elf.loaded_size):
                return None
            name = merged(str(found.source))
            if found.name is not None or name in self._plan:
                raise PackError(
                    f"{needer.source} needs {found.source}, and another program of the image has "
                    f"{present.source} under the same name. Pack them into images of their own."
                )
        self._plan.add_file(name, found.source, size=self._size(found.elf))
        self._plan.came_from(name, found.source)
        own = () if needer.elf.runpath else needer.places(needer.elf.rpath)
        return _Object(found.source, name, found.elf, own + needer.inherited)

    def _usual_name(self, soname: str, found: _Found) -> str:
        """The library's name in the folder that the image's loader searches without being told.

        That is where the C library lies. On a system where even that lies at a place of its own
        (NixOS), programs name all places in full, and every library keeps its own.
        """
        if found.elf.kind not in self._usual_folders:
            library = self._search("libc.so.6", found.elf) or found
            self._usual_folders[found.elf.kind] = library.source.parent
        folder = self._usual_folders[found.elf.kind]
        known = folder in DEFAULT_FOLDERS or folder.resolve() in DEFAULT_FOLDERS
        return f"{folder}/{soname}" if known else str(found.source)

    def _find(self, needer: _Object, soname: str) -> _Found | None:
        if "/" in soname:
            return self._accept(Path(soname), needer.elf, merged(soname))
        if needer.elf.runpath:
            return self._search(soname, needer.elf, needer.places(needer.elf.runpath))
        places = needer.places(needer.elf.rpath) + needer.inherited
        return self._search(soname, needer.elf, places)

    def _search(self, soname: str, like: Elf, places: Sequence[_Place] = ()) -> _Found | None:
        for place in places:
            name = f"{place.there}/{soname}" if place.there else None
            found = self._accept(Path(place.here, soname), like, name)
            if found is not None:
                return found
        cached = cached_libraries().get(soname, [])
        for candidate in [*cached, *(folder / soname for folder in DEFAULT_FOLDERS)]:
            found = self._accept(candidate, like, None)
            if found is not None:
                return found
        return None

    def _accept(self, path: Path, like: Elf, name: str | None) -> _Found | None:
        """A file, if it is a library of the right kind."""
        elf = self._read(path) if os.path.isfile(path) and os.access(path, os.R_OK) else None
        return _Found(path, elf, name) if elf is not None and elf.kind == like.kind else None

    def _read(self, path: Path) -> Elf | None:
        if path not in self._elves:
            try:
                self._elves[path] = read_elf(path)
            except OSError as error:
                raise PackError(f"cannot read {path}: {error.strerror}") from error
        return self._elves[path]

    def _size(self, elf: Elf | None) -> int | None:
        return elf.loaded_size if elf is not None and self._strip else None


def _expand(folder: str, origin: str) -> str:
    return os.path.normpath(folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))


def _same(one: Path, other: Path, size: int) -> bool:
    """Whether what is loaded of two libraries is the same; one of them may be stripped."""
    if one.samefile(other):
        return True
    with one.open("rb") as first, other.open("rb") as second:
        while size > 0:
            piece = first.read(min(size, PIECE))
            if not piece or piece != second.read(len(piece)):
                return False
            size -= len(piece)
    return True
