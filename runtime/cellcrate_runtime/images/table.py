"""The table of references: which name means which manifest.

It is the file ``index.json`` of the OCI image layout, so other tools can read the store as it is.
Every row is a descriptor of a manifest; a named row carries the canonical reference as the
annotation ``org.opencontainers.image.ref.name``. An image that has lost its last name keeps a row
without one, as Docker keeps a "dangling" image. Source: OCI image-spec 1.1, image-layout.md and
annotations.md.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cellcrate_runtime.images.documents import (
    Descriptor,
    Index,
    Layout,
    MediaType,
    decode,
    encode,
)
from cellcrate_runtime.images.errors import CorruptContentError, InvalidArchiveError
from cellcrate_runtime.images.files import locked, write_whole

__all__ = ["REFERENCE_ANNOTATION", "ReferenceTable", "Row", "Rows"]

REFERENCE_ANNOTATION = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Row:
    """One manifest, under one canonical reference or under none."""

    digest: str
    size: int
    media_type: str
    reference: str | None

    @classmethod
    def of(cls, descriptor: Descriptor) -> Row:
        reference = (descriptor.annotations or {}).get(REFERENCE_ANNOTATION)
        return cls(descriptor.digest, descriptor.size, descriptor.media_type, reference)

    def descriptor(self) -> Descriptor:
        """The row as it stands in ``index.json``."""
        annotations = {REFERENCE_ANNOTATION: self.reference} if self.reference else None
        return Descriptor(
            media_type=self.media_type,
            digest=self.digest,
            size=self.size,
            annotations=annotations,
        )


class Rows(list[Row]):
    """The table's rows while they are being changed."""

    def name(self, row: Row, reference: str) -> None:
        """Let a reference mean this row's manifest, and nothing else from now on."""
        self.unname(reference)
        self[:] = [r for r in self if r.digest != row.digest or r.reference]
        self.append(Row(row.digest, row.size, row.media_type, reference))

    def unname(self, reference: str) -> None:
        """Take a reference away; its manifest stays, without a name if that was the last one."""
        for row in [row for row in self if row.reference == reference]:
            self.remove(row)
            self.keep(row)

    def keep(self, row: Row) -> None:
        """See to it that this row's manifest is in the table, named or not."""
        if all(other.digest != row.digest for other in self):
            self.append(Row(row.digest, row.size, row.media_type, None))

    def drop(self, digests: set[str]) -> None:
        """Forget manifests, with all their names."""
        self[:] = [row for row in self if row.digest not in digests]


class ReferenceTable:
    """``index.json``: read from memory while the file is the same, changed under a lock."""

    def __init__(self, root: Path) -> None:
        self.path = root / "index.json"
        self._lock_path = root / "index.lock"
        self._guard = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._rows: tuple[Row, ...] = ()
        layout = root / "oci-layout"
        if not layout.exists():
            write_whole(layout, encode(Layout(image_layout_version="1.0.0")))

    def rows(self) -> tuple[Row, ...]:
        """The rows as they are on disk now.

        Raises:
            CorruptContentError: ``index.json`` is not readable as an index.
        """
        with self._guard:
            try:
                status = self.path.stat()
            except FileNotFoundError:
                self._seen, self._rows = None, ()
                return ()
            # The file is only ever replaced, so a change shows in its inode or its time.
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._rows = self._read()
                self._seen = seen
            return self._rows

    @contextlib.contextmanager
    def changing(self) -> Iterator[Rows]:
        """Change the rows; they are written, whole, when the block ends well."""
        with locked(self._lock_path):
            before = self.rows()
            rows = Rows(before)
            yield rows
            if tuple(rows) != before:
                index = Index(
                    schema_version=2,
                    media_type=MediaType.INDEX,
                    manifests=[row.descriptor() for row in rows],
                )
                write_whole(self.path, encode(index))

    def _read(self) -> tuple[Row, ...]:
        try:
            index = decode(Index, self.path.read_bytes())
        except InvalidArchiveError as error:
            raise CorruptContentError(
                f"{self.path}, the table of image names, is damaged ({error}). "
                "Move it away to start with an empty table; images can then be packed, "
                "loaded or pulled again."
            ) from error
        return tuple(Row.of(descriptor) for descriptor in index.manifests)
