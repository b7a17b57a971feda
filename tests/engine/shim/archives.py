"""Files of containers, and archives to put into them."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from box import PATIENCE, Box, Container

from cellcrate_runtime.engine.files_client import ArchiveStream, Files
from cellcrate_runtime.engine.launcher_client import Launcher
from cellcrate_runtime.oci import spec

PREPARE = """
mkdir -p /data/sub /elsewhere; echo one >/data/one; echo two >/data/sub/two
ln /data/one /data/same; ln -s sub /data/link; ln -s /etc/hostname /data/absolute
mkfifo /data/pipe; chmod 4750 /data/one; chown 5:6 /data/sub/two; echo t >/tmp/in-tmpfs
"""


@asynccontextmanager
async def files_of(
    box: Box, how: str, script: str = PREPARE, config: spec.Spec | None = None
) -> AsyncIterator[Files]:
    """The files of a container in which a script has been run."""
    async with asyncio.timeout(PATIENCE), box.launcher() as launcher:
        container = await box.start(
            launcher, f"{script}\necho ready; read a", config=config, open_stdin=True
        )
        await container.client.until(b"ready")
        if how == "running":
            yield container.shim.files()
        await end(container)
        if how == "stopped":
            yield stopped(launcher, container)


async def end(container: Container) -> None:
    await container.client.send(b"\n")
    assert (await container.ended()).exit_code == 0
    await container.client.rest()


def stopped(launcher: Launcher, container: Container) -> Files:
    assert container.request.rootfs is not None
    return launcher.files(container.request.rootfs, container.request.bundle)


async def read(stream: ArchiveStream) -> tarfile.TarFile:
    """Take a whole archive in."""
    async with stream:
        content = b"".join([chunk async for chunk in stream])
    return tarfile.open(fileobj=io.BytesIO(content))


def pack(*entries: tuple[str, bytes | str | None], mode: str = "w", **owner: int) -> bytes:
    """An archive; an entry's content is bytes, None for a folder, or a link's target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries:
            info = tarfile.TarInfo(name)
            info.mtime = 1_600_000_000
            info.uid, info.gid = owner.get("uid", 0), owner.get("gid", 0)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size, info.mode = len(content), 0o640
            archive.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    return buffer.getvalue()


async def pieces(archive: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(archive), size):
        yield archive[start : start + size]


async def content_of(files: Files, path: str) -> bytes:
    archive = await read(await files.get(path))
    file = archive.extractfile(archive.next() or pytest.fail("an empty archive"))
    assert file is not None
    return file.read()
