"""Layers, read from the archive that every Docker Engine API has: ``GET /images/{name}/get``.

It is read as it comes and never kept. Both of its forms are known: docker's own, whose
``manifest.json`` names a configuration and the archives of layers, and the OCI image layout, which
has the same document beside it (moby, image/tarexport; since Docker 25 both at once).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import posixpath
import tarfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, cast

from cellcrate.cells.link import Link
from cellcrate.errors import EngineError
from cellcrate.http import get_stream, image_url
from cellcrate.images.contents.index import LayerIndex
from cellcrate.images.contents.model import Entry, Layer, Step, steps_of_history

__all__ = ["ArchivedContents"]

#: The largest document that is read, in bytes.
LARGEST_DOCUMENT = 4 << 20
_PIECE = 256 * 1024
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_USTAR = slice(257, 262)  # where an archive says what it is (tar(5))

_index = LayerIndex()
_configurations: dict[str, dict[str, Any]] = {}
_lock = threading.Lock()


class ArchivedContents:
    """One image's layers, by its archive.

    Args:
        link: The way to the engine.
        image: The image's id.
        diff_ids: The digests of its layers, bottom first.
        others: The names of other images by the layers that they have.
    """

    def __init__(
        self, link: Link, image: str, diff_ids: list[str], others: dict[str, list[str]]
    ) -> None:
        self._link = link
        self._image = image
        self._diff_ids = diff_ids
        self._others = others

    @property
    def is_known(self) -> bool:
        """Whether it was read before, so that the answer comes at once."""
        return self._image in _configurations and all(map(_index.has, self._diff_ids))

    def steps(self) -> list[Step]:
        """Return the steps, the oldest first, with their layers.

        Raises:
            EngineError: The engine's archive cannot be read.
        """
        with _lock:
            if not self.is_known:
                _configurations[self._image] = self._read()
        layers = [self._with_others(layer) for layer in _index.layers(self._diff_ids)]
        return steps_of_history(_configurations[self._image].get("history") or [], layers)

    def listing(self, diff_id: str, path: str) -> list[Entry]:
        """Return what a layer has in a folder, folders first; nothing where it has none."""
        return _index.listing(diff_id, path)

    def content(self, diff_id: str, path: str, limit: int) -> tuple[bytes, int]:
        """Return the first bytes of a file; the archive is read once more, up to it."""
        entry = _index.entry(diff_id, path)
        if entry is None or entry.kind != "file":
            raise EngineError(f"The layer has no file {path}.")
        wanted = posixpath.normpath("/" + entry.target).strip("/") if entry.target else path
        # Where the file lies in a layer is known, and not where the layer lies in the archive.
        with self._opened() as tar:
            for member, stream in _members(tar):
                if (found := _find(member, stream, wanted, limit)) is not None:
                    data, size, digest = found
                    if digest == diff_id:
                        return data, size
        raise EngineError(f"The engine's archive has no {path} any more.")

    def _with_others(self, layer: Layer) -> Layer:
        shared = tuple(self._others.get(layer.diff_id, ()))
        return Layer(
            layer.diff_id,
            layer.size,
            layer.added,
            layer.changed,
            layer.removed,
            layer.biggest,
            shared,
        )

    def _read(self) -> dict[str, Any]:
        archive = _Archive()
        try:
            with self._opened() as tar:
                for member, stream in _members(tar):
                    archive.take(member, stream)
            return archive.configuration()
        except (tarfile.TarError, zlib.error, EOFError, ValueError, KeyError) as error:
            raise EngineError(
                f"The engine's archive of the image cannot be read: {error}"
            ) from None
        finally:
            archive.forget()

    @contextmanager
    def _opened(self) -> Iterator[tarfile.TarFile]:
        response = self._link.ask(
            lambda api: get_stream(api, image_url(api, self._image, "get"), {})
        )
        try:
            with tarfile.open(fileobj=cast(IO[bytes], response.raw), mode="r|") as tar:
                yield tar
        finally:
            response.close()


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    for member in tar:
        tar.members = []  # type: ignore[attr-defined]
        yield member, tar.extractfile(member) if member.isreg() else None


@dataclass(slots=True)
class _Archive:
    """What has been read of one archive."""

    documents: dict[str, bytes] = field(default_factory=dict)
    # The digests of layers by the names that the archive gives them.
    digests: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    _keys: list[str] = field(default_factory=list)

    def take(self, member: tarfile.TarInfo, stream: IO[bytes] | None) -> None:
        if member.issym() or member.islnk():
            # docker before 25 writes a layer once, and links from the images that have it too.
            base = posixpath.dirname(member.name) if member.issym() else ""
            self.links[member.name] = posixpath.normpath(posixpath.join(base, member.linkname))
        if stream is None:
            return
        source = _Source(stream)
        head = source.peek(512)
        if head[:1] in (b"{", b"[") and member.size <= LARGEST_DOCUMENT:
            self.documents[member.name] = source.read(-1)
        elif head[_USTAR] == b"ustar" or head.startswith(_GZIP):
            self._layer(member.name, source)
        elif head.startswith(_ZSTD):
            raise ValueError("its layers are compressed by zstd")

    def _layer(self, name: str, source: _Source) -> None:
        key = f"reading {id(self)} {name}"
        self._keys.append(key)
        plain = _Hashed(source.plain())
        _index.read(key, cast(IO[bytes], plain))
        plain.drain()
        self.digests[name] = plain.digest
        _index.name(key, plain.digest)

    def configuration(self) -> dict[str, Any]:
        """Return the image's configuration.

        Raises:
            ValueError, KeyError: The archive has none, or lacks a layer.
        """
        (manifest,) = json.loads(self.documents["manifest.json"])
        configuration: dict[str, Any] = json.loads(self.documents[manifest["Config"]])
        found = {self.digests.get(self._target(name)) for name in manifest["Layers"]}
        missing = set(configuration["rootfs"]["diff_ids"]) - found
        if missing:
            raise ValueError(f"it lacks the layer {min(missing)}")
        return configuration

    def _target(self, name: str) -> str:
        return self.links.get(name, name)

    def forget(self) -> None:
        """Drop what was read in part."""
        for key in self._keys:
            _index.forget(key)


def _find(
    member: tarfile.TarInfo, stream: IO[bytes] | None, path: str, limit: int
) -> tuple[bytes, int, str] | None:
    """Return a file's first bytes, its size and its layer's digest, if a member has the file."""
    if stream is None:
        return None
    source = _Source(stream)
    head = source.peek(512)
    if not (head[_USTAR] == b"ustar" or head.startswith(_GZIP)):
        return None
    plain = _Hashed(source.plain())
    found: tuple[bytes, int] | None = None
    with tarfile.open(fileobj=cast(IO[bytes], plain), mode="r|") as tar:
        for inner, content in _members(tar):
            name = posixpath.normpath("/" + inner.name).strip("/")
            if content is not None and name == path:
                found = content.read(limit), inner.size
    plain.drain()
    return (*found, plain.digest) if found else None


class _Source:
    """A stream whose beginning can be looked at."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._head = b""

    def peek(self, size: int) -> bytes:
        """Return the beginning: so many bytes, or more, unless there are fewer."""
        while len(self._head) < size and (piece := self._stream.read(size - len(self._head))):
            self._head += piece
        return self._head

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            head, self._head = self._head, b""
            return head + self._stream.read()
        head, self._head = self._head[:size], self._head[size:]
        return head or self._stream.read(size)

    def plain(self) -> IO[bytes]:
        """Return the archive itself, whether or not it is compressed."""
        source = cast(IO[bytes], self)
        if not self.peek(2).startswith(_GZIP):
            return source
        return cast(IO[bytes], gzip.GzipFile(fileobj=source, mode="rb"))


class _Hashed:
    """A stream whose digest is known when it has been read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """Read what is left: archives end in nothing, which counts for the digest."""
        while self.read(_PIECE):
            pass

    @property
    def digest(self) -> str:
        """The digest of what was read."""
        return f"sha256:{self._hash.hexdigest()}"
