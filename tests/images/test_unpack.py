"""Layers unpack into what overlayfs stacks; the kernel is the judge of whiteouts."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageError, ImageStore, InvalidArchiveError
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.unpack import unpack_layer
from images.handmade import AddImage, Entry, RunInside, folder, hardlink, make_archive, symlink
from images.tar_bytes import END, block, entry, pax

PRIVILEGED = os.geteuid() == 0


def unpack(into: Path, *entries: Entry) -> LayerInfo:
    into.mkdir(exist_ok=True)
    return unpack_layer(io.BytesIO(make_archive(entries)), into)


def test_modes_times_and_links(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    info = unpack(
        root,
        folder("./", mode=0o711),
        folder("closed", mode=0o555),
        Entry("closed/file", b"hello", mode=0o4751, mtime=1234567890.5),
        symlink("closed/dangling", "/nowhere"),
        # As every program writes it, with the file's own mode and time: the last word counts.
        replace(hardlink("other-name", "closed/file"), mode=0o4751, mtime=1234567890.5),
        Entry("no/parent/listed", b"x"),
        Entry("pipe", type=tarfile.FIFOTYPE, mode=0o622),
    )
    file = (root / "closed/file").stat()
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    assert stat.S_IMODE((root / "closed").stat().st_mode) == 0o555
    assert stat.S_IMODE(file.st_mode) == 0o4751
    assert file.st_mtime_ns == 1234567890_500000000
    assert (root / "closed").stat().st_mtime == 1_000_000_000
    assert os.readlink(root / "closed/dangling") == "/nowhere"
    assert (root / "other-name").stat().st_ino == file.st_ino
    assert (root / "no/parent/listed").read_bytes() == b"x"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert info.size == len(b"hello") + len(b"x")
    (root / "closed").chmod(0o755)


def test_owners_of_root(tmp_path: Path) -> None:
    info = unpack(
        tmp_path / "fs",
        Entry("file", uid=33, gid=34),
        Entry("big", uid=3_000_000_000, gid=5),
        Entry("link", type=tarfile.SYMTYPE, linkname="file", uid=35, gid=36),
        Entry("folder", type=tarfile.DIRTYPE, mode=0o755, uid=37, gid=38),
        Entry("pipe", type=tarfile.FIFOTYPE, uid=39, gid=40),
    )
    found = {p.name: (p.lstat().st_uid, p.lstat().st_gid) for p in (tmp_path / "fs").iterdir()}
    if PRIVILEGED:  # others: test_subordinate.py
        assert found == {
            "file": (33, 34),
            "big": (3_000_000_000, 5),
            "link": (35, 36),
            "folder": (37, 38),
            "pipe": (39, 40),
        }
        assert info.owners_kept


def test_an_owner_that_nobody_can_be_is_nobody(tmp_path: Path) -> None:
    info = unpack(tmp_path / "fs", Entry("file", uid=0xFFFF_FFFF, gid=5, mode=0o4755))
    assert len(info.left_out) == 1
    assert info.left_out[0].startswith("file (its owner")
    if PRIVILEGED:
        status = (tmp_path / "fs/file").stat()
        assert (status.st_uid, status.st_gid) == (65534, 65534)


CAPABILITY = "\x01\x00\x00\x02\x00\x04\x00\x00" + "\x00" * 12


def test_extended_attributes(tmp_path: Path) -> None:
    sly = (("trusted.overlay.redirect", "/etc"), ("user.overlay.opaque", "y"), ("trusted.x", "y"))
    info = unpack(
        tmp_path / "fs",
        Entry("file", xattrs=(("user.note", "hello"), ("security.capability", CAPABILITY))),
        Entry("folder", type=tarfile.DIRTYPE, mode=0o755, xattrs=(("user.note", "folder"),)),
        Entry("sly", xattrs=sly),
        Entry("labelled", xattrs=(("security.selinux", "system_u:object_r:x"),)),
        Entry("link", type=tarfile.SYMTYPE, linkname="file", xattrs=(("user.note", "link"),)),
    )
    assert os.getxattr(tmp_path / "fs/file", "user.note") == b"hello"
    assert os.getxattr(tmp_path / "fs/folder", "user.note") == b"folder"
    if PRIVILEGED:
        assert os.getxattr(tmp_path / "fs/file", "security.capability")[:4] == b"\1\0\0\2"
    assert os.listxattr(tmp_path / "fs/sly") == []
    assert "security.selinux" not in info.left_out
    told = "\n".join(info.left_out)
    for words in ("sly (its extended attribute 'trusted.x')", "link (its extended attribute"):
        assert words in told
    assert "labelled" not in told


@pytest.mark.skipif(not PRIVILEGED, reason="An ordinary user's are in a namespace.")
def test_an_access_control_list_is_kept_and_not_inherited(tmp_path: Path) -> None:
    user_rw = struct.pack("<I HHI HHI HHI HHI HHI", 2, *(1, 7, -1 & 0xFFFFFFFF), *(2, 6, 1000),
        *(4, 5, -1 & 0xFFFFFFFF), *(16, 7, -1 & 0xFFFFFFFF), *(32, 5, -1 & 0xFFFFFFFF))  # fmt: skip
    records = [(b"SCHILY.xattr.system.posix_acl_default", user_rw)]
    archive = pax(records) + block(b"folder", b"5") + block(b"folder/file") + END
    unpack_layer(io.BytesIO(archive), tmp_path)
    assert os.getxattr(tmp_path / "folder", "system.posix_acl_default") == user_rw
    assert os.listxattr(tmp_path / "folder/file") == []


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([(b"SCHILY.xattr.user.%d" % n + b"x" * 200, b"") for n in range(1000)], "more extended"),
        ([(b"SCHILY.xattr.user.large", bytes(200_000))], "cannot be set"),
        ([(b"SCHILY.xattr.user.a\0b", b"1")], "no good name"),
    ],
    ids=["many", "large", "NUL"],
)
def test_absurd_attributes_are_errors(
    tmp_path: Path, records: list[tuple[bytes, bytes]], error: str
) -> None:
    with pytest.raises(ImageError, match=error):
        unpack_layer(io.BytesIO(pax(records) + block(b"x") + END), tmp_path)


def test_names_that_are_not_text(tmp_path: Path) -> None:
    long = b"/".join([b"d" * 200] * 10)
    archive = (
        block(b"\xe9", b"2", linkname=b"\xff/\xfe")
        + pax([(b"path", b"\xff/" + long)])
        + entry(b"x", b"1")
        + block(b"dev\xff", b"Z")
        + END
    )
    info = unpack_layer(io.BytesIO(archive), tmp_path)
    assert os.readlink(os.fsencode(tmp_path) + b"/\xe9") == b"\xff/\xfe"
    with open(os.fsencode(tmp_path) + b"/\xff/" + long, "rb") as file:
        assert file.read() == b"1"
    assert info.left_out == ["dev\\xff (of unknown type b'Z')"]


def test_folders_after_what_is_in_them(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(
        root,
        Entry("a/b/file", b"1"),
        Entry("a/b", type=tarfile.DIRTYPE, mode=0o700, mtime=5),
        Entry("a", type=tarfile.DIRTYPE, mode=0o2755, mtime=6),
    )
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("a/b", "a")] == [0o700, 0o2755]
    assert [(root / name).stat().st_mtime for name in ("a/b", "a")] == [5, 6]


def test_a_description_does_not_go_through_a_link(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(
        root,
        folder("real/inner", mode=0o755),
        folder("a/inner", mode=0o777),
        Entry("a", b"no folder any more"),
        symlink("a", "real"),
    )
    assert stat.S_IMODE((root / "real/inner").stat().st_mode) == 0o755


def test_times_before_1970_are_1970(tmp_path: Path) -> None:
    unpack(tmp_path / "fs", Entry("early", mtime=-5), Entry("late", mtime=99_999_999_999))
    assert [path.stat().st_mtime for path in (tmp_path / "fs").iterdir()] == [0, 0]


def test_a_later_entry_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(
        root,
        folder("a"),
        Entry("a/inside", b"1"),
        Entry("a", b"now a file"),
        Entry("b", b"now a folder"),
        folder("b", mode=0o750),
        Entry("b/inside", b"2"),
        symlink("c", "b"),
        Entry("c", b"now a file"),
    )
    assert (root / "a").read_bytes() == b"now a file"
    assert (root / "b/inside").read_bytes() == b"2"
    assert stat.S_IMODE((root / "b").stat().st_mode) == 0o750
    assert (root / "c").read_bytes() == b"now a file"
    assert not (root / "c").is_symlink()


def test_links_to_folders_lead_where_they_would_in_the_image(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(
        root,
        folder("usr/lib"),
        symlink("lib", "usr/lib"),
        symlink("usr/abs", "/usr/lib"),
        symlink("usr/up", "../../../usr/lib"),
        Entry("lib/one", b"1"),
        Entry("usr/abs/two", b"2"),
        Entry("usr/up/three", b"3"),
    )
    assert sorted(os.listdir(root / "usr/lib")) == ["one", "three", "two"]
    assert (root / "lib").is_symlink()


def test_device_nodes_are_made_by_root_and_else_left_out_and_said_so(tmp_path: Path) -> None:
    info = unpack(
        tmp_path / "fs",
        Entry("disk", type=tarfile.BLKTYPE, mode=0o660, device=(8, 0)),
        Entry("mem", type=tarfile.CHRTYPE, mode=0o666, device=(1, 1)),
    )
    made = {path.name: path.lstat() for path in (tmp_path / "fs").iterdir()}
    if not PRIVILEGED:
        assert made == {}
        assert [text.split()[0] for text in info.left_out] == ["disk", "mem"]
        assert "only root may make" in info.left_out[0]
        return
    assert made["disk"].st_mode == stat.S_IFBLK | 0o660
    assert made["disk"].st_rdev == os.makedev(8, 0)
    assert made["mem"].st_mode == stat.S_IFCHR | 0o666
    assert made["mem"].st_rdev == os.makedev(1, 1)
    assert info.left_out == []


def test_a_device_that_overlayfs_takes_for_a_whiteout_is_left_out(tmp_path: Path) -> None:
    info = unpack(tmp_path / "fs", Entry("sly", type=tarfile.CHRTYPE, mode=0o666, device=(0, 0)))
    assert os.listdir(tmp_path / "fs") == []
    assert info.left_out == [
        "sly (a device 0:0, which to overlayfs means that there is no such file)"
    ]


def test_whiteouts_hide_what_is_below(
    store: ImageStore, add_image: AddImage, run_inside: RunInside, base_store: ImageStore
) -> None:
    below = [
        folder("d"),
        Entry("d/gone", b"1"),
        Entry("d/stays", b"1"),
        folder("d/sub"),
        Entry("d/sub/gone", b"1"),
        folder("o"),
        Entry("o/gone", b"1"),
        folder("again"),
        Entry("again/gone", b"1"),
        folder("late"),
        Entry("late/gone", b"1"),
        Entry("implied/gone", b"1"),
        Entry("twice/gone", b"1"),
    ]
    above = [
        Entry("d/.wh.gone"),
        Entry("d/.wh.sub"),
        Entry("o/.wh..wh..opq"),
        Entry("o/new", b"2"),
        # The whiteout before what takes the folder's place, after it, and before what implies it.
        Entry(".wh.again"),
        folder("again"),
        Entry("again/new", b"2"),
        folder("late"),
        Entry("late/new", b"2"),
        Entry(".wh.late"),
        Entry(".wh.implied"),
        Entry("implied/new", b"2"),
        Entry("d/.wh..wh.plnk"),
        # Gone, and as some programs have it, so is what was in it.
        Entry(".wh.twice"),
        Entry("twice/.wh.gone"),
        Entry("twice/sub/.wh.gone"),
    ]
    image = add_image("x", below, above)
    base = base_store.lower_dirs(base_store.get("cellcrate/base"))
    script = "find d o again late implied; test ! -e twice"
    found = run_inside([*store.lower_dirs(image), *base], "sh", "-c", script)
    assert sorted(found.stdout.split()) == [
        "again", "again/new", "d", "d/stays", "implied", "implied/new", "late", "late/new", "o",
        "o/new",
    ]  # fmt: skip


def test_a_whiteout_on_the_way_becomes_a_folder_that_hides(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(root, Entry(".wh.d"), symlink("link", "/d"), Entry("link/sub/new", b"2"))
    assert os.getxattr(root / "d", "user.overlay.opaque") == b"y"
    assert (root / "d/sub/new").read_bytes() == b"2"
    assert os.listxattr(root / "d/sub") == []


def test_a_hard_link_to_a_link_is_described_as_the_link(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(root, Entry("file", mode=0o600), symlink("link", "file"), hardlink("hard", "link"))
    assert os.readlink(root / "hard") == "file"
    assert (root / "hard").lstat().st_ino == (root / "link").lstat().st_ino
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o600


def test_a_hard_link_to_itself_and_to_what_takes_its_place(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    unpack(root, Entry("file", b"1"), hardlink("file", "file"), folder("d"), hardlink("d", "file"))
    assert (root / "file").read_bytes() == b"1"
    assert (root / "d").samefile(root / "file")


def test_a_capability_survives_a_second_name(tmp_path: Path) -> None:
    if not PRIVILEGED:
        pytest.skip("The file system is asked directly.")
    capable = Entry("file", mode=0o755, uid=7, xattrs=(("security.capability", CAPABILITY),))
    unpack(tmp_path / "fs", capable, replace(hardlink("other", "file"), mode=0o4755, uid=7))
    assert os.listxattr(tmp_path / "fs/other") == ["security.capability"]
    assert stat.S_IMODE((tmp_path / "fs/other").stat().st_mode) == 0o4755


@pytest.mark.parametrize("name", ["file/x", "file/x/y", "link/x"])
def test_a_file_on_the_way_is_an_error_and_stays(tmp_path: Path, name: str) -> None:
    root = tmp_path / "fs"
    with pytest.raises(ImageError, match="Not a directory"):
        unpack(root, Entry("file", b"1"), symlink("link", "file"), Entry(name, b"2"))
    assert (root / "file").read_bytes() == b"1"


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unpack(tmp_path / "one", Entry("a/b/c", b"1"), symlink("link", "/d/e"), Entry("link/f", b"2"))
    with pytest.raises(ImageError):
        unpack(tmp_path / "two", Entry("a", b"1"), Entry("a/b/c", b"2"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArchiveError, match="not a tar archive"):
        unpack_layer(io.BytesIO(b"hello " * 1000), tmp_path)


def test_layers_are_unpacked_once_and_shared(store: ImageStore, add_image: AddImage) -> None:
    common = [Entry("common", b"c")]
    one = add_image("one", common, [Entry("one", b"1")])
    two = add_image("two", common, [Entry("two", b"2")])
    folders = store.lower_dirs(one)
    assert [sorted(os.listdir(path)) for path in folders] == [["one"], ["common"]]
    before = folders[1].stat().st_ino
    assert store.lower_dirs(two)[1].stat().st_ino == before
    assert store.lower_dirs(one) == folders


def test_nothing_is_collected_under_an_unpacking(
    store: ImageStore, add_image: AddImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = add_image("x", [Entry("file", b"1")])

    def unpack_while_another_collects(archive: Readable, into: Path) -> LayerInfo:
        info = unpack_layer(archive, into)
        ImageStore(store.root).collect()
        return info

    monkeypatch.setattr(
        "cellcrate_runtime.images.layer_content.unpack_layer", unpack_while_another_collects
    )
    assert os.listdir(store.lower_dirs(image)[0]) == ["file"]
