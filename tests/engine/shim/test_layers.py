"""What a container has changed, packed as a layer: by a real overlay, and unpacked again."""

from __future__ import annotations

import asyncio
import os
import tarfile
from pathlib import Path

import pytest
from archives import files_of, read
from box import Box, make_config

from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.engine.own_threads import entered, feed
from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.oci import spec

CHANGE = """
    mkdir -p /new/below; echo content >/new/below/file; chmod 4750 /new/below/file
    ln /new/below/file /new/twin; ln -s nowhere /new/link; mkfifo /new/pipe
    touch -d '2001-02-03 04:05:06.789' /new/below/file
    chown 5:6 /new/link -h; rm /usr/bin/env; echo more >>/etc/passwd
    rm -rf /usr/share; mkdir /usr/share; touch /usr/share/new
"""


async def layer_of(box: Box, how: str, script: str) -> tarfile.TarFile:
    async with files_of(box, how, script) as files:
        return await read(await files.pack_layer())


def test_a_layer_holds_what_was_changed(box: Box, how: str) -> None:
    async def scenario() -> None:
        found = {entry.name: entry for entry in await layer_of(box, how, CHANGE)}
        assert found["new/below/file"].mode == 0o4750
        assert float(found["new/below/file"].mtime) == 981173106.789
        assert found["new/twin"].linkname == "new/below/file"
        assert (found["new/link"].linkname, found["new/link"].uid) == ("nowhere", 5)
        assert found["new/pipe"].isfifo()
        assert found["usr/bin/.wh.env"].size == 0
        assert found["etc/passwd"].uid == 0
        assert "usr/share/.wh..wh..opq" in found
        assert "usr/share/new" in found
        # What the runtime makes to mount something on is nothing that the container did.
        for path in ("dev", "proc", "sys", "etc/hosts", "etc/resolv.conf"):
            assert path not in found, list(found)

    asyncio.run(scenario())


def test_a_container_that_did_nothing_gives_an_empty_layer(box: Box, how: str) -> None:
    async def scenario() -> None:
        assert (await layer_of(box, how, "true")).getnames() == []

    asyncio.run(scenario())


def test_a_mount_point_and_the_folders_above_it_are_no_changes(
    box: Box, how: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    config = make_config()
    for path in ("/usr/share/mounted", "/made/for/it"):
        config.mounts.append(
            spec.Mount(destination=path, type="bind", source=str(tmp_path), options=["rbind"])
        )

    async def scenario() -> None:
        async with files_of(box, how, "touch /usr/share/mounted/inside", config) as files:
            names = (await read(await files.pack_layer())).getnames()
        assert names == []

    asyncio.run(scenario())


def test_a_layer_goes_into_a_store_and_looks_the_same_there(
    box: Box, how: str, tmp_path: Path
) -> None:
    store = ImageStore(tmp_path / "images")

    async def scenario() -> None:
        async with files_of(box, how, CHANGE) as files, entered(store.adding()):
            async with await files.pack_layer() as archive:
                layer = await feed(archive, store.add_layer)
            assert layer.descriptor.digest == layer.diff_id
            folder = store.layers.path(layer.diff_id)
            status = os.stat(folder / "new/below/file")
            assert (status.st_mode & 0o7777, status.st_size) == (0o4750, 8)
            assert status.st_ino == os.stat(folder / "new/twin").st_ino
            assert os.stat(folder / "usr/bin/env").st_rdev == 0
            async with await files.pack_layer() as archive:
                again = b"".join([piece async for piece in archive])
            with store.blobs.reading(layer.descriptor.digest) as blob:
                assert blob.readall() == again
        # Nothing names it.
        store.collect()
        assert store.blobs.all() == store.layers.all() == []

    asyncio.run(scenario())


def test_what_no_layer_can_tell_is_said(box: Box, how: str, tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")

    async def scenario() -> None:
        async with files_of(box, how, "touch /.wh.file") as files:
            async with await files.pack_layer() as archive:
                with pytest.raises(WorkError, match="Rename or remove it") as raised:
                    await feed(archive, store.add_layer)
            assert raised.value.kind == "invalid"

    asyncio.run(scenario())


def test_a_link_that_leads_out_is_not_followed(box: Box, how: str) -> None:
    async def scenario() -> None:
        script = "ln -s /etc /outside; ln -s ../../../../etc/shadow /relative"
        found = {entry.name: entry for entry in await layer_of(box, how, script)}
        assert sorted(found) == ["outside", "relative"]
        assert all(entry.issym() for entry in found.values())

    asyncio.run(scenario())
