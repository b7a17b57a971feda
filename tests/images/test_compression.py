"""Every way in which layers are compressed is read to its end, and damage is told."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys

import pytest

from cellcrate_runtime.images import CorruptContentError, ImageStore, InvalidArchiveError
from cellcrate_runtime.images.compression import decompressed
from cellcrate_runtime.images.documents import Descriptor, ImageConfig, Manifest, MediaType, RootFS
from cellcrate_runtime.images.documents import encode as document
from images.handmade import Entry, digest, make_archive

pytestmark = pytest.mark.once

CONTENT = os.urandom(100_000) + bytes(1_000_000)
SKIPPED = b"\x50\x2a\x4d\x18" + (1000).to_bytes(4, "little") + os.urandom(1000)


def zstd(content: bytes, *options: str) -> bytes:
    """Compress by the reference program."""
    command = ["zstd", "-c", *options]
    return subprocess.run(command, input=content, check=True, capture_output=True).stdout


def read(packed: bytes) -> bytes:
    found = b""
    with io.FileIO(_file(packed), "rb") as file, decompressed(file) as archive:
        while piece := archive.read(70_000):
            found += piece
    return found


def _file(content: bytes) -> int:
    descriptor = os.memfd_create("packed")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


@pytest.mark.parametrize(
    "packed",
    [
        CONTENT,
        gzip.compress(CONTENT),
        b"".join(gzip.compress(part) for part in (CONTENT[:10], CONTENT[10:], b"")),
        gzip.compress(CONTENT) + bytes(500),
        zstd(CONTENT),
        zstd(CONTENT[:10]) + SKIPPED + zstd(CONTENT[10:]) + SKIPPED,
        SKIPPED + zstd(CONTENT),
        zstd(CONTENT, "--long=27"),
    ],
    ids=["tar", "gzip", "eStargz", "padded", "zstd", "zstd:chunked", "skipped first", "long"],
)
def test_all_of_it_is_read(packed: bytes) -> None:
    assert read(packed) == CONTENT


@pytest.mark.parametrize("without", [False, True], ids=["ISA-L", "zlib"])
@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "followed by something else"])
def test_damage_is_told(
    monkeypatch: pytest.MonkeyPatch, pack: object, damage: str, without: bool
) -> None:
    if without:
        monkeypatch.setitem(sys.modules, "isal.igzip", None)
    packed = bytearray(pack(CONTENT))  # type: ignore[operator]
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[-8 if pack is gzip.compress else -2] ^= 1
    else:
        packed += b"something else"
    with pytest.raises(InvalidArchiveError, match="is not good"):
        read(bytes(packed))


def test_a_window_of_gigabytes_is_refused() -> None:
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + bytes(100)
    with pytest.raises(InvalidArchiveError, match="too much memory"):
        read(frame)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_layer_of_each_kind_is_unpacked(store: ImageStore, pack: object) -> None:
    archive = make_archive([Entry("file", CONTENT)])
    packed = pack(archive)  # type: ignore[operator]
    _add(store, packed, digest(archive))
    (folder,) = store.lower_dirs(store.get("x"))
    assert (folder / "file").read_bytes() == CONTENT


def test_a_blob_that_changed_on_disk_is_the_cause(store: ImageStore) -> None:
    archive = make_archive([Entry("file", CONTENT)])
    packed = zstd(archive)
    blob = _add(store, packed, digest(archive))
    store.blobs.path(blob).write_bytes(packed[:-100])
    with pytest.raises(CorruptContentError, match="damaged"):
        store.lower_dirs(store.get("x"))
    assert os.listdir(store.layers.folder) == []


def _add(store: ImageStore, packed: bytes, diff_id: str) -> str:
    from cellcrate_runtime.images.references import parse

    config = document(
        ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[diff_id]))
    )
    kinds = {MediaType.CONFIG: config, MediaType.LAYER_ZSTD: packed}
    with store.adding():
        stored = {
            kind: Descriptor(media_type=kind, digest=store.blobs.add(content), size=len(content))
            for kind, content in kinds.items()
        }
        manifest = Manifest(
            schema_version=2,
            media_type=MediaType.MANIFEST,
            config=stored[MediaType.CONFIG],
            layers=[stored[MediaType.LAYER_ZSTD]],
        )
        name = parse("x").with_default_tag()
        store.name(store.blobs.add(document(manifest)), name)
    return stored[MediaType.LAYER_ZSTD].digest
