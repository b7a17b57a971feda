"""An ordinary user's layers: their files belong to whom the archive says, seen from a container."""

from __future__ import annotations

import io
import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import (
    CorruptContentError,
    ImageError,
    ImageStore,
    StoreFullError,
    UnsafeArchiveError,
    subordinate,
)
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.unpack import unpack_layer
from images.handmade import AddImage, Entry, folder, hardlink, make_archive

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 or subordinate.why_not() is not None,
    reason="It is for an ordinary user with subordinate ids.",
)

CAPABILITY = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0).decode("latin-1")  # net_raw
ENTRIES = [
    folder("./", mode=0o750),
    Entry("etc/shadow", b"secret", uid=0, gid=42, mode=0o640),
    Entry("home", type=b"5", mode=0o700, uid=1000, gid=1001),
    Entry("home/file", b"1", mode=0o4755, uid=1000, gid=1001, mtime=1234567890.5),
    hardlink("home/other", "home/file"),
    Entry("home/link", type=b"2", linkname="file", uid=1000, gid=1001),
    Entry("ping", mode=0o755, xattrs=(("security.capability", CAPABILITY), ("user.a", "b"))),
    Entry("home/.wh.gone"),
]

INSIDE = """
import os, sys
from cellcrate_runtime.linux.rootless import enter_user_namespace
enter_user_namespace()
os.chdir(sys.argv[1])
for folder, folders, files in os.walk("."):
    for name in sorted([*folders, *files]):
        path = os.path.join(folder, name)
        status = os.lstat(path)
        print(path, status.st_uid, status.st_gid, oct(status.st_mode), *os.listxattr(
            path, follow_symlinks=False))
"""


def seen_inside(path: Path) -> dict[str, list[str]]:
    """What the user's namespace, and so a container, sees of a tree."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", INSIDE, str(path)]
    said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return {line.split()[0]: line.split()[1:] for line in said.stdout.splitlines()}


def unpack(folder: Path, *entries: Entry) -> LayerInfo:
    folder.mkdir()
    return unpack_layer(io.BytesIO(make_archive(entries)), folder)


def test_owners_are_those_that_a_container_sees(tmp_path: Path) -> None:
    info = unpack(tmp_path / "fs", *ENTRIES)
    found = seen_inside(tmp_path / "fs")
    assert found["./etc"][:2] == ["0", "0"]
    assert found["./etc/shadow"] == ["0", "42", "0o100640"]
    assert found["./home"] == ["1000", "1001", "0o40700"]
    assert found["./home/file"][:2] == found["./home/other"][:2] == ["0", "0"]  # its last word
    assert found["./home/link"] == ["1000", "1001", "0o120777"]
    assert found["./home/gone"][2] == oct(stat.S_IFCHR)
    assert sorted(found["./ping"][3:]) == ["security.capability", "user.a"]
    assert info == LayerInfo(size=7, files=8, owners_kept=True)
    # Outside, they belong to ids that only this user has.
    assert (tmp_path / "fs/home").stat().st_uid not in (1000, os.getuid())
    assert (tmp_path / "fs/etc").stat().st_uid == os.getuid()


def test_an_owner_beyond_the_ids_is_nobody_and_told(tmp_path: Path) -> None:
    info = unpack(tmp_path / "fs", Entry("file", uid=3_000_000_000))
    assert seen_inside(tmp_path / "fs")["./file"][0] == "65534"
    assert "3000000000:0, is beyond the ids" in info.left_out[0]


def test_a_layer_with_others_files_is_removed(store: ImageStore, add_image: AddImage) -> None:
    closed = [*ENTRIES, Entry("home/closed", type=b"5", mode=0, uid=5), Entry("home/closed/x")]
    image = add_image("x", closed)
    store.lower_dirs(image)
    info = store.layers.info(image.diff_ids[0])
    assert info is not None
    assert info.owners_kept
    store.remove("x")
    assert os.listdir(store.layers.folder) == []


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        (Entry("../x", b"1"), UnsafeArchiveError),
        (Entry("home/file/x", b"1"), ImageError),
        (hardlink("x", "missing"), ImageError),
    ],
)
def test_what_goes_wrong_inside_is_told_outside_and_leaves_nothing(
    store: ImageStore, add_image: AddImage, entry: Entry, error: type[Exception]
) -> None:
    image = add_image("x", [*ENTRIES, entry])
    with pytest.raises(error):
        store.lower_dirs(image)
    assert os.listdir(store.layers.folder) == []


def test_a_layer_that_is_not_what_the_image_says(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("x", ENTRIES, diff_ids=["sha256:" + "0" * 64])
    with pytest.raises(CorruptContentError):
        store.lower_dirs(image)
    assert os.listdir(store.layers.folder) == []


class Killing:
    """An archive whose reader is killed in the middle."""

    def __init__(self, archive: bytes) -> None:
        self._archive = io.BytesIO(archive)
        self._before = set(children())

    def read(self, size: int = -1, /) -> bytes:
        if self._archive.tell():
            for pid in set(children()) - self._before:
                os.kill(pid, signal.SIGKILL)
        return self._archive.read(min(size, 1024))


def children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def test_a_helper_that_is_killed_is_told(tmp_path: Path) -> None:
    before = list(children())
    archive: Readable = Killing(make_archive([Entry("file", bytes(1_000_000))]))
    (tmp_path / "fs").mkdir()
    with pytest.raises(ImageError, match="ended with status -9"):
        unpack_layer(archive, tmp_path / "fs")
    assert list(children()) == before


def test_an_archive_that_fails_on_the_way_ends_the_helper(tmp_path: Path) -> None:
    class Failing:
        def read(self, size: int = -1, /) -> bytes:
            raise StoreFullError("full")

    before = list(children())
    with pytest.raises(StoreFullError):
        unpack_layer(Failing(), tmp_path)
    assert list(children()) == before


@pytest.mark.parametrize(
    ("broken", "remedy"),
    [("shutil.which", "apt install uidmap"), ("has_subordinate_ids", "usermod --add-subuids")],
)
def test_without_ids_all_files_are_the_users_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, remedy: str
) -> None:
    monkeypatch.setattr(f"cellcrate_runtime.images.subordinate.{broken}", lambda *_: None)
    info = unpack(tmp_path / "fs", *ENTRIES)
    assert {path.lstat().st_uid for path in (tmp_path / "fs").rglob("*")} == {os.getuid()}
    assert not info.owners_kept
    told = "\n".join(info.left_out)
    assert "home/file (its owner; all files are yours" in told
    assert "ping (its extended attribute security.capability" in told
    assert remedy in told
    assert "etc (" not in told  # root's are the user's anyway


def test_ids_that_are_refused_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a sandbox lets nobody gain rights: the helpers are there, and fail."""
    helpers = tmp_path / "bin"
    helpers.mkdir()
    for name in ("newuidmap", "newgidmap"):
        (helpers / name).write_text("#!/bin/sh\nexit 1\n")
        (helpers / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{helpers}:{os.environ['PATH']}")
    info = unpack(tmp_path / "fs", *ENTRIES)
    assert not info.owners_kept
    assert "gave you no subordinate ids" in "\n".join(info.left_out)
    assert (tmp_path / "fs/home/file").lstat().st_uid == os.getuid()
