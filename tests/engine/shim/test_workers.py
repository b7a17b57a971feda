"""Export, changes and removal; volumes; and what becomes of workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from archives import content_of, end, files_of, pack, pieces, read
from box import Box, make_config

from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.oci import spec


def test_the_root_file_system_is_exported_without_what_is_mounted(box: Box, how: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how) as files:
            found = {m.name: m for m in await read(await files.export())}
            assert found["data/one"].size == 4
            assert (found["data/sub/two"].uid, found["data/sub/two"].gid) == (5, 6)
            assert found["usr/bin/env"].uid == 0
            assert found["tmp"].isdir()
            assert not [name for name in found if name.startswith(("tmp/", "proc/", "dev/"))]

    asyncio.run(scenario())


def test_folders_may_be_nested_deeper_than_pythons_stack(box: Box) -> None:
    async def scenario() -> None:
        script = "cd /elsewhere; for i in $(seq 1200); do mkdir d; cd d; done"
        async with files_of(box, "running", f"mkdir /elsewhere; {script}") as files:
            names = (await read(await files.get("/elsewhere"))).getnames()
            assert len(names) == 1201
            assert names[-1].count("/") == 1200

    asyncio.run(scenario())


def test_a_reader_that_leaves_stops_the_packing(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            stream = await files.export()
            async for _ in stream:
                break
            stream.close()
            stream.close()
            assert (await files.stat("/data/one")).size == 4

    asyncio.run(scenario())


def test_changes_are_those_that_docker_would_list(box: Box, how: str) -> None:
    async def scenario() -> None:
        script = """
            echo new >/new; mkdir -p /folder/below; echo x >/folder/below/file
            rm /etc/hostname 2>/dev/null; rm -r /usr/share/zoneinfo 2>/dev/null
            echo more >>/etc/passwd; chmod 700 /var; rm /usr/bin/env
            rm -rf /media; mkdir /media; touch /media/new
            cp -p /etc/group /etc/group2; mv /etc/group2 /etc/group; echo t >/tmp/in-tmpfs
        """
        async with files_of(box, how, script) as files:
            changes = {change.path: change.kind for change in await files.changes()}
        for path in ("/new", "/folder", "/folder/below", "/folder/below/file"):
            assert changes.pop(path) == 1
        for path in ("/etc", "/etc/passwd", "/var", "/usr", "/usr/bin"):
            assert changes.pop(path) == 0
        assert changes.pop("/usr/bin/env") == 2
        for path in list(changes):
            assert path.startswith(("/etc/", "/usr/share", "/media")), changes
        assert "/etc/group" not in changes

    asyncio.run(scenario())


def test_a_container_that_did_nothing_has_no_changes(box: Box, how: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how, "true") as files:
            assert await files.changes() == []

    asyncio.run(scenario())


def test_volumes_are_seen_running_and_stopped(box: Box, how: str, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("in the volume")
    tmp_path.chmod(0o755)
    config = make_config()
    config.mounts.append(
        spec.Mount(destination="/v", type="bind", source=str(tmp_path), options=["rbind"])
    )
    config.mounts.append(
        spec.Mount(destination="/ro", type="bind", source=str(tmp_path), options=["rbind", "ro"])
    )

    async def scenario() -> None:
        async with files_of(box, how, "true", config) as files:
            assert await content_of(files, "/v/kept") == b"in the volume"
            with pytest.raises(WorkError) as raised:
                await files.put("/ro", pieces(pack(("new", b"x"))))
            assert raised.value.kind == "read_only"

    asyncio.run(scenario())


def test_trees_are_removed_however_deep_and_whoever_owns_them(box: Box, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    tree = tmp_path / "tree"

    async def scenario() -> None:
        async with box.launcher() as launcher:
            tree.mkdir()
            (tree / "link").symlink_to(outside)
            (tree / "locked").mkdir(mode=0)
            where = os.getcwd()
            os.chdir(tree)
            for _ in range(500):
                os.mkdir("a-folder-with-a-name")
                os.chdir("a-folder-with-a-name")
            os.chdir(where)
            await launcher.remove_trees(tree, tmp_path / "gone already")
            assert not tree.exists()
            assert (outside / "kept").exists()
            for path in (Path("/"), Path("relative")):
                with pytest.raises(WorkError) as raised:
                    await launcher.remove_trees(path)
                assert raised.value.kind == "invalid"
            container = await box.start(launcher, "mkdir -m 0 /mine; chown 5:5 /mine")
            await container.ended()
            await container.client.rest()
            await launcher.remove_trees(container.folder)
            assert not container.folder.exists()

    asyncio.run(scenario())


def test_nothing_of_a_stopped_container_is_mounted_afterwards(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "stopped") as files:
            await files.stat("/")
            assert str(box.home) not in Path("/proc/mounts").read_text()

    asyncio.run(scenario())


def test_a_worker_that_is_killed_is_noticed(box: Box) -> None:
    async def scenario() -> None:
        async with box.launcher() as launcher:
            container = await box.start(launcher, "read a", open_stdin=True)
            children = Path(f"/proc/{container.shim.shim}/task/{container.shim.shim}/children")

            async def never() -> AsyncIterator[bytes]:
                while True:
                    workers = set(children.read_text().split()) - {str(container.shim.pid)}
                    if workers:
                        os.kill(int(workers.pop()), 9)
                    await asyncio.sleep(0.01)
                    yield b"\0" * 10240

            with pytest.raises(WorkError) as raised:
                await container.shim.files().put("/", never())
            assert raised.value.kind == "gone"
            await end(container)

    asyncio.run(scenario())
