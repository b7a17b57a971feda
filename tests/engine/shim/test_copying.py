"""Copying in and out of containers, running and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from pathlib import Path

import pytest
from archives import content_of, files_of, pack, pieces, read
from box import Box

from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.engine.workers.paths import go_mode

GO_DIRECTORY, GO_SYMLINK, GO_SETUID = 1 << 31, 1 << 27, 1 << 23


def test_paths_are_described_as_docker_does(box: Box, how: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how) as files:
            one = await files.stat("/data/one")
            assert (one.name, one.size, one.link_target) == ("one", 4, "")
            assert one.mode == GO_SETUID | 0o750
            assert abs(one.mtime / 1e9 - time.time()) < 1000
            folder = await files.stat("data")
            assert (folder.name, folder.mode) == ("data", GO_DIRECTORY | 0o755)
            link = await files.stat("/data/link")
            assert (link.mode & GO_SYMLINK, link.link_target) == (GO_SYMLINK, "/data/sub")
            assert (await files.stat("/data/link/")).mode & GO_DIRECTORY
            assert (await files.stat("/data/absolute")).link_target == "/etc/hostname"
            assert (await files.stat("/data/../data/sub/..")).name == "data"
            assert (await files.stat("/")).name == "/"
            for missing in ("/nowhere", "/data/one/below"):
                with pytest.raises(WorkError) as raised:
                    await files.stat(missing)
                assert raised.value.kind in ("not_found", "not_a_directory")

    asyncio.run(scenario())


def test_a_folder_is_packed_with_the_containers_own_ids(box: Box, how: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how) as files:
            stream = await files.get("/data")
            assert stream.stat is not None
            assert stream.stat.name == "data"
            archive = await read(stream)
            found = {member.name: member for member in archive}
            assert sorted(found) == [
                "data",
                "data/absolute",
                "data/link",
                "data/one",
                "data/pipe",
                "data/same",
                "data/sub",
                "data/sub/two",
            ]
            assert found["data/same"].islnk()
            assert found["data/same"].linkname == "data/one"
            assert found["data/link"].linkname == "sub"
            assert found["data/pipe"].isfifo()
            assert found["data/one"].mode == 0o4750
            assert (found["data"].uid, found["data"].gid) == (0, 0)
            assert (found["data/sub/two"].uid, found["data/sub/two"].gid) == (5, 6)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/data/sub", ["sub", "sub/two"]),
        ("/data/sub/", ["sub", "sub/two"]),
        ("/data/sub/.", [".", "./two"]),
        ("/data/link", ["link"]),
        ("/data/link/", ["link", "link/two"]),
        ("/data/one", ["one"]),
    ],
)
def test_names_begin_with_the_last_part_of_the_path(box: Box, path: str, names: list[str]) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            assert (await read(await files.get(path))).getnames() == names

    asyncio.run(scenario())


def test_the_root_is_packed_with_leading_slashes(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "stopped") as files:
            async with await files.get("/") as stream:
                content = b"".join([chunk async for chunk in stream])
            # Not by tarfile, which takes the slashes away.
            headers = [content[at : at + 512] for at in range(0, len(content), 512)]
            names = [h[:100].rstrip(b"\0") for h in headers if h[257:262] == b"ustar"]
            first, second, *_ = [name for name in names if name != b"././@PaxHeader"]
            assert first == b"/"
            assert second.startswith(b"/")
            assert not second.startswith(b"//")

    asyncio.run(scenario())


def test_a_running_containers_tmpfs_is_seen(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            assert await content_of(files, "/tmp/in-tmpfs") == b"t\n"
            await files.put("/tmp", pieces(pack(("new", b"x"))))
            assert await content_of(files, "/tmp/new") == b"x"

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_unpacked(box: Box, how: str, mode: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how) as files:
            big = os.urandom(600_000)
            archive = pack(
                ("dir", None),
                ("dir/big", big),
                ("dir/link", "/etc/passwd"),
                mode=mode,
                uid=7,
                gid=8,
            )
            await files.put("/elsewhere", pieces(archive, 60_000))
            found = {m.name: m for m in await read(await files.get("/elsewhere/dir"))}
            assert sorted(found) == ["dir", "dir/big", "dir/link"]
            assert {(m.uid, m.gid) for m in found.values()} == {(7, 8)}
            assert found["dir/big"].mode == 0o640
            assert {m.mtime for m in found.values()} == {1_600_000_000}
            assert await content_of(files, "/elsewhere/dir/big") == big

    if mode == "w" or how == "running":
        asyncio.run(scenario())


def test_files_may_be_given_to_a_user_by_name(box: Box, how: str) -> None:
    async def scenario() -> None:
        async with files_of(box, how) as files:
            await files.put("/elsewhere", pieces(pack(("f", b""), uid=7)), owner="nobody")
            assert [m.uid for m in await read(await files.get("/elsewhere/f"))] == [65534]
            with pytest.raises(WorkError, match="no-such-user") as raised:
                await files.put("/elsewhere", pieces(pack(("f", b""))), owner="no-such-user")
            assert raised.value.kind == "invalid"

    asyncio.run(scenario())


def test_the_target_may_be_a_link_to_a_folder_and_must_be_a_folder(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            await files.put("/data/link", pieces(pack(("new", b"x"))))
            assert await content_of(files, "/data/sub/new") == b"x"
            for path, kind in (("/data/one", "not_a_directory"), ("/nowhere", "not_found")):
                with pytest.raises(WorkError) as raised:
                    await files.put(path, pieces(pack(("new", b"x" * 900_000))))
                assert raised.value.kind == kind

    asyncio.run(scenario())


def test_kinds_are_kept_if_asked_for(box: Box) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            for archive in (pack(("sub", b"file")), pack(("one", None))):
                with pytest.raises(WorkError, match="cannot overwrite") as raised:
                    await files.put("/data", pieces(archive), keep_kinds=True)
                assert raised.value.kind == "invalid"
            await files.put("/data", pieces(pack(("sub", b"file"))))
            assert await content_of(files, "/data/sub") == b"file"

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/../escaped"])
def test_an_entry_that_would_leave_the_target_is_refused(box: Box, name: str) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            with pytest.raises(WorkError) as raised:
                await files.put("/data", pieces(pack((name, b"x"))))
            assert raised.value.kind == "invalid"
            with pytest.raises(WorkError):
                await files.stat("/escaped")

    asyncio.run(scenario())


def test_no_link_leads_to_the_host(box: Box, how: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    tmp_path.chmod(0o755)
    target = f"../../../../../../../../../../{tmp_path}"

    async def scenario() -> None:
        script = f"ln -s {tmp_path} /evil; ln -s {target} /worse; ln -s /proc/1/root /magic"
        async with files_of(box, how, script) as files:
            for link in ("/evil", "/worse", f"/magic/{target}"):
                with pytest.raises(WorkError):
                    await files.stat(f"{link}/secret")
                with pytest.raises(WorkError):
                    await files.put(link, pieces(pack(("secret", b"overwritten"))))
            through = pack(("way", str(tmp_path)), ("way/secret", b"overwritten"))
            with contextlib.suppress(WorkError):
                await files.put("/", pieces(through))
            assert secret.read_text() == "the host's"

    asyncio.run(scenario())


@pytest.mark.parametrize("archive", [b"this is no archive" * 100, pack(("f", b"x" * 5000))[:3000]])
def test_a_broken_archive_is_an_error(box: Box, archive: bytes) -> None:
    async def scenario() -> None:
        async with files_of(box, "running") as files:
            with pytest.raises(WorkError) as raised:
                await files.put("/data", pieces(archive))
            assert raised.value.kind == "invalid"

    asyncio.run(scenario())


def test_go_modes_have_their_kind() -> None:
    assert go_mode(stat.S_IFCHR | 0o620) == 1 << 26 | 1 << 21 | 0o620
    assert go_mode(stat.S_IFDIR | stat.S_ISVTX | 0o777) == 1 << 31 | 1 << 20 | 0o777
