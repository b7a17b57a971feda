"""COPY and ADD: which files go where, and as whose.

The rules are those of Docker's builders (the reference of the Dockerfile format, "COPY" and "ADD"):
a folder's content is copied, not the folder; a destination with a slash at its end is a folder;
what is made on the way belongs to root, or to whom the copies belong. A link that a source *is* is
followed, within what is copied from; links in a folder that is copied stay links.
"""

from __future__ import annotations

import posixpath
import stat
from dataclasses import replace

from cellcrate_runtime.engine.building import archives
from cellcrate_runtime.engine.building.copy_request import CopyRequest
from cellcrate_runtime.engine.building.file_modes import changed_mode
from cellcrate_runtime.engine.building.layer_plan import Entry, LayerPlan
from cellcrate_runtime.engine.building.owners import Owner, find_owner
from cellcrate_runtime.images.dockerfile.patterns import (
    PathMatcher,
    compile_pattern,
    has_wildcards,
)
from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.merged import MergedTree, Node, Parts

__all__ = ["CopyError", "plan_layer"]

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644  # of files that are written in a Dockerfile
_FETCHED_MODE = 0o600  # as Docker has it


class CopyError(ImageError):
    """What was asked for cannot be copied, or not to there."""


def plan_layer(request: CopyRequest) -> LayerPlan:
    """Find out what a COPY or ADD puts into a layer.

    Raises:
        CopyError: A source is missing, or the destination cannot be.
        ImageError: An archive that is to be unpacked is broken.
    """
    return _Copier(request).plan()


class _Copier:
    def __init__(self, request: CopyRequest) -> None:
        self._request = request
        self._origin = MergedTree(request.origin)
        base = MergedTree(request.base)
        self._plan = LayerPlan(base, request.latest)
        self._owner = find_owner(base, request.chown) if request.chown else None
        self._excluded = _matcher(request)
        uid, gid = self._owner or Owner(0, 0)
        self._new_folder = Entry(
            stat.S_IFDIR, _FOLDER_MODE, uid, gid, mtime=request.now * 1_000_000_000
        )

    def plan(self) -> LayerPlan:
        request = self._request
        found = [one for source in request.sources for one in self._matches(source)]
        count = len(found) + len(request.written) + len(request.fetched)
        asked = len(request.sources) + len(request.written) + len(request.fetched)
        if not count and asked:
            raise self._error("no source files were specified")
        into = request.destination.endswith(("/", "/.")) or request.destination in ("", ".")
        if count > 1 and not into:
            raise CopyError(
                f"When using {request.keyword} with more than one source file, the destination "
                "must be a directory and end with a /"
            )
        target = self._resolved(request.destination)
        if not asked and self._plan.look(target) is None:
            self._make_folders(target)
        for source, parts, node in found:
            self._add_source(source, parts, node, target, into)
        for written in request.written:
            entry = Entry(stat.S_IFREG, _FILE_MODE, content=written.content)
            self._add_file(self._described(entry), target, written.name, into)
        for fetched in request.fetched:
            entry = Entry(stat.S_IFREG, _FETCHED_MODE, mtime=0, path=fetched.path)
            entry.mtime = fetched.mtime * 1_000_000_000
            if request.unpack_fetched and archives.is_archive(fetched.path):
                self._unpack(fetched.path, target)
            else:
                self._add_file(self._described(entry), target, fetched.name, into)
        return self._plan

    # -- sources -------------------------------------------------------------------------------

    def _matches(self, source: str) -> list[tuple[str, Parts, Node]]:
        """What a source means: one file or folder, or with wildcards any number of them."""
        if not has_wildcards(source):
            try:
                parts, node = self._origin.find(source)
            except OSError:
                where = self._request.where
                hint = " or excluded by .dockerignore" if where == "build context" else ""
                raise self._error(
                    f"file not found in {where}{hint}: stat {source.lstrip('/')}: "
                    "file does not exist"
                ) from None
            return [(source, parts, node)]
        try:
            pattern = compile_pattern(posixpath.normpath(source).lstrip("/"))
        except ValueError as error:
            raise self._error(f"{source}: {error}") from None
        names = [name for name in self._all_names(source) if pattern.fullmatch(name)]
        return [(name, *self._origin.find(name)) for name in names]

    def _all_names(self, pattern: str) -> list[str]:
        """The paths that a pattern could match: of as many parts, unless it has ``**``."""
        depth = posixpath.normpath(pattern).strip("/").count("/")
        found: list[str] = []
        folders: list[Parts] = [()]
        while folders:
            parts = folders.pop()
            for name in self._origin.names(parts):
                child = (*parts, name)
                node = self._origin.at(child)
                found.append("/".join(child))
                if node is not None and node.is_folder and (len(parts) < depth or "**" in pattern):
                    folders.append(child)
        return sorted(found)

    def _add_source(self, source: str, parts: Parts, node: Node, target: Parts, into: bool) -> None:
        request = self._request
        if request.parents:
            kept = _kept_path(source)
            folder = kept if node.is_folder else kept[:-1]
            self._make_parents(source, folder, target)
            target, into = (*target, *kept), False
        if node.is_folder:
            self._add_folder(parts, target)
            return
        if self._excluded.matches("/".join(parts)) or self._excluded.matches(parts[-1]):
            return
        name = posixpath.basename(posixpath.normpath(source)) if request.parents else parts[-1]
        name = posixpath.basename(source.rstrip("/")) or name
        if request.unpack and archives.is_archive(node.path):
            self._unpack(node.path, target)
            return
        self._add_file(self._entry(node, source), target, name, into)

    def _make_parents(self, source: str, kept: Parts, target: Parts) -> None:
        """``--parents``: the folders on a source's path, as they are there."""
        self._make_folders(target)
        whole = [part for part in source.split("/") if part not in ("", ".")]
        skipped = len(whole) - len(_kept_path(source))
        for count in range(1, len(kept) + 1):
            node = self._origin.at(tuple(whole[: skipped + count]))
            here = self._plan.look((*target, *kept[:count]))
            if node is not None and node.is_folder and here is None:
                self._plan.add((*target, *kept[:count]), self._entry(node, source))

    def _add_folder(self, parts: Parts, target: Parts) -> None:
        # The folder itself is not copied, only what is in it.
        self._make_folders(target)
        folders: list[tuple[Parts, Parts]] = [(parts, ())]
        while folders:
            folder, inside = folders.pop()
            for name in self._origin.names(folder):
                child = self._origin.at((*folder, name))
                path = (*inside, name)
                assert child is not None, "names() lists what is there"
                excluded = self._excluded.matches("/".join(path))
                if child.is_folder and (not excluded or self._excluded.has_exceptions):
                    folders.append(((*folder, name), path))
                if not excluded:
                    self._place(path, target, self._entry(child, "/".join(path)))

    def _place(self, path: Parts, target: Parts, entry: Entry) -> None:
        """Put a folder's or an archive's file below the destination."""
        parent = self._plan.resolve("/".join((*target, *path[:-1])))
        self._make_folders(parent)
        where = (*parent, path[-1])
        self._plan.add(where, entry)

    # -- the destination -----------------------------------------------------------------------

    def _add_file(self, entry: Entry, target: Parts, name: str, into: bool) -> None:
        there = self._plan.look(target)
        if into or (there is not None and there.is_folder) or not target:
            target = (*target, name)
            there = self._plan.look(target)
        if there is not None and there.is_folder:
            raise self._error(
                f'cannot overwrite the folder "/{"/".join(target)}" with the file {name}'
            )
        self._make_folders(target[:-1])
        self._plan.add(target, entry)

    def _unpack(self, archive: str, target: Parts) -> None:
        """Unpack an archive: everything in it keeps its owner, unless another was asked for."""
        self._make_folders(target)
        for path, entry in archives.read_archive(archive, self._request.scratch):
            if not path:
                continue
            if entry.kind == archives.LINK:
                self._link(path, target, entry)
                continue
            described = replace(entry)
            if self._owner is not None:
                described.uid, described.gid = self._owner
            self._place(path, target, described)

    def _link(self, path: Parts, target: Parts, entry: Entry) -> None:
        """A hard link in an archive: another name of what was unpacked before."""
        named = self._plan.resolve("/".join((*target, entry.link or "")), last=False)
        first = self._plan.look(named)
        if first is None:
            raise self._error(f'the archive links "{"/".join(path)}" to what it does not have')
        self._place(path, target, first)

    def _make_folders(self, parts: Parts) -> None:
        try:
            self._plan.make_folders(parts, self._new_folder)
        except NotADirectoryError as error:
            raise self._error(f"cannot copy to non-directory: {error}") from None

    def _resolved(self, path: str) -> Parts:
        try:
            return self._plan.resolve(path)
        except OSError as error:
            raise self._error(f"{path}: {error.strerror}") from None

    def _entry(self, node: Node, name: str) -> Entry:
        try:
            entry = Entry.of(node.path, node.status)
        except ValueError as error:
            raise self._error(f"{name} cannot be copied: {error}") from None
        uid, gid = self._owner or Owner(0, 0)
        entry.uid, entry.gid = uid, gid
        return self._with_mode(entry)

    def _described(self, entry: Entry) -> Entry:
        entry.uid, entry.gid = self._owner or Owner(0, 0)
        entry.mtime = entry.mtime or self._request.now * 1_000_000_000
        return self._with_mode(entry)

    def _with_mode(self, entry: Entry) -> Entry:
        if self._request.chmod and entry.kind != stat.S_IFLNK:
            try:
                entry.mode = changed_mode(self._request.chmod, entry.mode, entry.is_folder)
            except ValueError as error:
                raise self._error(str(error)) from None
        return entry

    def _error(self, reason: str) -> CopyError:
        return CopyError(f"{self._request.keyword} failed: {reason}")


def _matcher(request: CopyRequest) -> PathMatcher:
    try:
        return PathMatcher(request.excludes)
    except ValueError as error:
        raise CopyError(f"{request.keyword} failed: --exclude: {error}") from None


def _kept_path(source: str) -> Parts:
    """The part of a source's path that ``--parents`` keeps: what follows ``/./``, or all of it."""
    _, pivot, rest = source.partition("/./")
    kept = rest if pivot else source
    return tuple(part for part in posixpath.normpath(kept).split("/") if part not in ("", "."))
