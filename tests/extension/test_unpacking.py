"""Archives that mean harm."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from cellcrate.cells.unpacking import UnsafeArchiveError, unpack


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **more) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.mode = 0o755
    for key, value in more.items():
        setattr(info, key, value)
    return info


def archive(*members: tarfile.TarInfo) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            content = b"evil" if member.isfile() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("good")
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "members",
    [
        [entry("top/../../outside/file")],
        [entry("top"), entry("top/../x")],
        [entry("top/l", tarfile.SYMTYPE, "../../outside"), entry("top/l/file")],
        [entry("top/l", tarfile.SYMTYPE, "../../outside"), entry("top/l", tarfile.DIRTYPE)],
        [
            entry("top/a", tarfile.SYMTYPE, "."),
            entry("top/b", tarfile.SYMTYPE, "a/../../.."),
            entry("top/b/outside/file"),
        ],
        [entry("top/h", tarfile.LNKTYPE, "top/../../outside/file")],
        [
            entry("top/l", tarfile.SYMTYPE, "../../outside"),
            entry("top/h", tarfile.LNKTYPE, "top/l/file"),
        ],
        [entry("top/null", tarfile.CHRTYPE, devmajor=1, devminor=3)],
        [entry("top/pipe", tarfile.FIFOTYPE)],
    ],
)
def test_nothing_is_written_outside(place: Path, members: list[tarfile.TarInfo]):
    with pytest.raises(UnsafeArchiveError):
        unpack(archive(*members), place / "in", "name")
    assert (place / "outside" / "file").read_text() == "good"
    assert sorted(path.name for path in place.iterdir()) == ["in", "outside"]
    assert sorted(path.name for path in (place / "outside").iterdir()) == ["file"]


@pytest.mark.parametrize("name", ["", "/", "/name", "..", "a/../.."])
def test_a_name_that_is_none_is_refused(place: Path, name: str):
    with pytest.raises(UnsafeArchiveError, match="no name"):
        unpack(archive(entry("top/file")), place / "in", name)


def test_a_link_in_the_place_of_a_file_is_replaced(place: Path):
    members = [entry("top/l", tarfile.SYMTYPE, "../../outside/file"), entry("top/l")]
    unpack(archive(*members), place / "in", "name")
    assert (place / "outside" / "file").read_text() == "good"
    assert not (place / "in" / "name" / "l").is_symlink()


def test_a_link_that_lay_there_before_is_not_followed(place: Path):
    (place / "in" / "name").symlink_to(place / "outside")
    with pytest.raises(UnsafeArchiveError, match="is a link"):
        unpack(archive(entry("top", tarfile.DIRTYPE), entry("top/file")), place / "in", "name")
    assert (place / "outside" / "file").read_text() == "good"


def test_files_are_the_callers_and_lose_special_bits(place: Path):
    unpack(archive(entry("top", mode=0o6755, uid=12345, gid=12345)), place / "in", "name")
    status = (place / "in" / "name").stat()
    assert status.st_mode & 0o7777 == 0o755
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())


def test_hard_links_inside_are_kept(place: Path):
    members = [entry("top/a"), entry("top/b", tarfile.LNKTYPE, "top/a")]
    unpack(archive(*members), place / "in", "name")
    assert (place / "in" / "name" / "a").samefile(place / "in" / "name" / "b")


def test_the_contents_alone(place: Path):
    unpack(archive(entry("top", tarfile.DIRTYPE), entry("top/a")), place / "in", ".")
    assert (place / "in" / "a").read_text() == "evil"
