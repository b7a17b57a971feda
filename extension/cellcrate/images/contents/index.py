"""An index of the files in layers: which folder has what, which files are big, what changed.

It lies in a file without a name (SQLite's temporary databases, "sqlite3_open", empty filename), so
that a layer of a hundred thousand files takes no memory, and ends with the kernel. A layer is in it
once, by its digest, whichever images have it.
"""

from __future__ import annotations

import posixpath
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from cellcrate.images.contents.model import BIGGEST, Entry, Layer

__all__ = ["LayerIndex"]

WHITEOUT = ".wh."  # OCI image-spec 1.1, layer.md, "Whiteouts"
OPAQUE = ".wh..wh..opq"

_TABLES = """
CREATE TABLE layer (diff_id TEXT PRIMARY KEY, size INTEGER);
CREATE TABLE entry (
    layer TEXT, folder TEXT, name TEXT, kind TEXT, size INTEGER, mode INTEGER, target TEXT,
    PRIMARY KEY (layer, folder, name)
) WITHOUT ROWID;
CREATE INDEX by_size ON entry (layer, size DESC) WHERE kind = 'file';
CREATE TABLE seen (path TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_NO_FILES = ("folder", "removed", "opaque")
_BATCH = 1000

_Row = tuple[str, str, str, str, int, int, str]


class LayerIndex:
    """The files of layers. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let the index go."""
        with self._lock:
            self._database.close()

    def has(self, diff_id: str) -> bool:
        """Whether a layer is in the index."""
        with self._lock:
            query = "SELECT 1 FROM layer WHERE diff_id = ?"
            return self._database.execute(query, (diff_id,)).fetchone() is not None

    def read(self, key: str, archive: IO[bytes]) -> None:
        """Take in a layer's archive, uncompressed, under a key of the caller's.

        Raises:
            tarfile.TarError: It is no archive.
        """
        with self._lock, tarfile.open(fileobj=archive, mode="r|") as tar:
            self.forget(key)
            batch: list[_Row] = []
            for row in _rows(key, tar):
                batch.append(row)
                if len(batch) == _BATCH:
                    self._insert(batch)
                    batch.clear()
            self._insert(batch)

    def _insert(self, rows: list[_Row]) -> None:
        query = "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._database.executemany(query, rows)

    def name(self, key: str, diff_id: str) -> None:
        """Give what was taken in under a key its digest."""
        with self._lock:
            if self.has(diff_id):
                self.forget(key)
                return
            self._database.execute("UPDATE entry SET layer = ? WHERE layer = ?", (diff_id, key))
            query = "SELECT coalesce(sum(size), 0) FROM entry WHERE layer = ? AND kind = 'file'"
            (size,) = self._database.execute(query, (diff_id,)).fetchone()
            self._database.execute("INSERT INTO layer VALUES (?, ?)", (diff_id, size))

    def forget(self, key: str) -> None:
        """Drop what was taken in under a key."""
        with self._lock:
            self._database.execute("DELETE FROM entry WHERE layer = ?", (key,))

    def listing(self, diff_id: str, path: str) -> list[Entry]:
        """Return what a layer has in a folder, folders first."""
        folder = f"{path}/" if path else ""
        query = (
            "SELECT name, kind, size, mode, target FROM entry WHERE layer = ? AND folder = ? "
            "AND kind <> 'opaque' ORDER BY kind <> 'folder', name"
        )
        with self._lock:
            rows = self._database.execute(query, (diff_id, folder)).fetchall()
            hiding = "SELECT folder FROM entry WHERE layer = ? AND kind = 'opaque'"
            opaque = {row[0] for row in self._database.execute(hiding, (diff_id,))}
        return [
            Entry(name, kind, size, mode, target, f"{folder}{name}/" in opaque)
            for name, kind, size, mode, target in rows
        ]

    def entry(self, diff_id: str, path: str) -> Entry | None:
        """Return what a layer has at a path, or None."""
        folder, _, name = path.rpartition("/")
        return next((each for each in self.listing(diff_id, folder) if each.name == name), None)

    def layers(self, diff_ids: Sequence[str]) -> list[Layer]:
        """Return the layers of an image, given bottom first, each compared with those below it."""
        with self._lock:
            self._database.execute("DELETE FROM seen")
            found = [self._layer(diff_id) for diff_id in diff_ids]
            self._database.execute("DELETE FROM seen")
            return found

    def _layer(self, diff_id: str) -> Layer:
        ask = self._database.execute
        (size,) = ask("SELECT size FROM layer WHERE diff_id = ?", (diff_id,)).fetchone()
        query = "SELECT folder || name, kind FROM entry WHERE layer = ? AND kind IN "
        gone = ask(f"{query} ('removed', 'opaque')", (diff_id,)).fetchall()
        for path, kind in gone:
            whole = path.removesuffix(OPAQUE).rstrip("/") if kind == "opaque" else path
            # "0" follows "/" in the order of letters: all that begins with the folder's name.
            ask(
                "DELETE FROM seen WHERE path = ? OR (path > ? AND path < ?)",
                (whole, f"{whole}/", f"{whole}0"),
            )
        files = f"FROM entry WHERE layer = ? AND kind NOT IN {_NO_FILES}"
        (count,) = ask(f"SELECT count(*) {files}", (diff_id,)).fetchone()
        known = f"SELECT count(*) {files} AND folder || name IN (SELECT path FROM seen)"
        (changed,) = ask(known, (diff_id,)).fetchone()
        ask(f"INSERT OR IGNORE INTO seen SELECT folder || name {files}", (diff_id,))
        biggest = ask(
            "SELECT '/' || folder || name, size FROM entry WHERE layer = ? AND kind = 'file' "
            "ORDER BY size DESC, 1 LIMIT ?",
            (diff_id, BIGGEST),
        ).fetchall()
        return Layer(diff_id, size, count - changed, changed, len(gone), tuple(biggest))


def _rows(key: str, tar: tarfile.TarFile) -> Iterator[_Row]:
    for member in tar:
        # tarfile would remember every entry, however long the archive.
        tar.members = []  # type: ignore[attr-defined]
        path = posixpath.normpath("/" + member.name).strip("/")
        if not path:
            continue
        head, _, name = path.rpartition("/")
        folder, mode = f"{head}/" if head else "", member.mode & 0o7777
        if name == OPAQUE:
            yield key, folder, name, "opaque", 0, 0, ""
        elif name.startswith(WHITEOUT):
            yield key, folder, name.removeprefix(WHITEOUT), "removed", 0, 0, ""
        else:
            size = member.size if member.isreg() else 0
            yield key, folder, name, _kind(member), size, mode, member.linkname


def _kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return "folder"
    if member.issym():
        return "link"
    # A hard link is a further name of a file: its content lies at its target.
    return "file" if member.isreg() or member.islnk() else "special"
