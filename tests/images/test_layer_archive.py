"""A writable layer as an archive: what overlayfs leaves on disk, and what an image's layer says."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageError
from cellcrate_runtime.images.layer_archive import write_layer
from cellcrate_runtime.images.unpack import unpack_layer
from cellcrate_runtime.linux.idmap import IDRange

TIME = 1_700_000_000_123_456_789
IS_ROOT = os.geteuid() == 0
# Either is a mark for some mount; an ordinary user can write only the second.
OVERLAY = "trusted.overlay." if IS_ROOT else "user.overlay."
CAPABILITY_2 = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0)  # cap_net_raw=ep


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """A folder as overlayfs has for its upper layer."""
    folder = tmp_path / "upper"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def archive_of(upper: Path, **options: object) -> bytes:
    output = io.BytesIO()
    write_layer(upper, output, **options)  # type: ignore[arg-type]
    return output.getvalue()


def entries_of(upper: Path, **options: object) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive_of(upper, **options))) as tar:
        # The root folder is an entry where its owner is not root, as for an ordinary user.
        return {entry.name: entry for entry in tar if entry.name != "."}


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def test_entries_come_sorted_and_folders_before_what_is_in_them(upper: Path) -> None:
    for name in ("b", "a", "a.x"):
        (upper / name).mkdir()
        (upper / name / "file").touch()
    assert list(entries_of(upper)) == ["a", "a/file", "a.x", "a.x/file", "b", "b/file"]


def test_the_same_files_give_the_same_bytes(upper: Path, tmp_path: Path) -> None:
    def fill(folder: Path, names: str) -> None:
        for name in names:
            (folder / name).write_text(name)
            os.setxattr(folder / name, f"user.{name}2", b"2")
            os.setxattr(folder / name, f"user.{name}1", b"1")
            os.utime(folder / name, ns=(0, TIME))

    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o755)
    fill(upper, "abc")
    fill(other, "cab")
    os.link(upper / "a", upper / "d")
    os.link(other / "a", other / "d")
    for folder in (upper, other):
        os.utime(folder, ns=(0, TIME))
    assert archive_of(upper) == archive_of(other)


def test_times_are_exact_and_no_later_than_asked_for(upper: Path) -> None:
    for name, time in (("new", TIME), ("old", 1_000_000_005), ("older", -1_500_000_000)):
        (upper / name).touch()
        os.utime(upper / name, ns=(time, time))
    found = entries_of(upper)
    assert found["new"].pax_headers["mtime"] == "1700000000.123456789"
    assert found["old"].pax_headers["mtime"] == "1.000000005"
    assert float(found["older"].mtime) == -1.5
    assert not [name for name in found["new"].pax_headers if name in ("atime", "ctime")]
    clamped = entries_of(upper, latest=1000)
    assert clamped["new"].mtime == 1000
    assert "mtime" not in clamped["new"].pax_headers
    assert clamped["old"].pax_headers["mtime"] == "1.000000005"


def test_kinds_and_modes(upper: Path) -> None:
    (upper / "setuid").write_bytes(b"content")
    (upper / "setuid").chmod(0o4755)
    (upper / "nowhere").symlink_to("/not/there")
    os.mkfifo(upper / "pipe", 0o640)
    os.chmod(upper / "pipe", 0o640)
    (upper / "sticky").mkdir()
    (upper / "sticky").chmod(0o1777)
    os.link(upper / "setuid", upper / "twin")
    os.link(upper / "nowhere", upper / "twin of a link", follow_symlinks=False)
    found = entries_of(upper)
    assert (found["setuid"].mode, found["setuid"].size) == (0o4755, 7)
    assert (found["nowhere"].type, found["nowhere"].linkname) == (tarfile.SYMTYPE, "/not/there")
    assert (found["pipe"].type, found["pipe"].mode) == (tarfile.FIFOTYPE, 0o640)
    assert (found["sticky"].type, found["sticky"].mode) == (tarfile.DIRTYPE, 0o1777)
    assert (found["twin"].type, found["twin"].linkname) == (tarfile.LNKTYPE, "setuid")
    assert found["twin of a link"].linkname == "nowhere"
    assert found["twin of a link"].islnk()
    assert found["setuid"].uname == found["setuid"].gname == ""


def test_names_need_not_be_utf8(upper: Path) -> None:
    name = os.fsdecode(b"caf\xe9 " + b"x" * 200)
    (upper / name).write_text("content")
    os.setxattr(upper / name, "user.raw", b"\xff\x00\xfe")
    archive = archive_of(upper)
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as tar:
        (entry,) = [entry for entry in tar if entry.isfile()]
    assert entry.name == name
    value = entry.pax_headers["SCHILY.xattr.user.raw"]
    assert value.encode("utf-8", "surrogateescape") == b"\xff\x00\xfe"


def test_sockets_are_left_out(upper: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(upper / "socket"))
    (upper / "file").touch()
    assert list(entries_of(upper)) == ["file"]


def test_removed_files_and_opaque_folders(upper: Path) -> None:
    whiteout(upper / "gone")
    (upper / "new").mkdir()
    (upper / "new" / "a").touch()
    os.setxattr(upper / "new", f"{OVERLAY}opaque", b"y")
    (upper / "merged").mkdir()
    whiteout(upper / "merged" / "gone")
    (upper / "nested").touch()
    os.setxattr(upper / "nested", f"{OVERLAY}whiteout", b"")
    found = entries_of(upper)
    assert list(found) == [
        ".wh.gone",
        "merged",
        "merged/.wh.gone",
        ".wh.nested",
        "new",
        "new/.wh..wh..opq",
        "new/a",
    ]
    mark = found["new/.wh..wh..opq"]
    assert (mark.type, mark.size, mark.mtime, mark.uid) == (tarfile.REGTYPE, 0, 0, 0)
    assert not [name for entry in found.values() for name in entry.pax_headers if "overlay" in name]


@pytest.mark.root
def test_what_is_unpacked_again_gives_the_same_archive(upper: Path, tmp_path: Path) -> None:
    whiteout(upper / "gone")
    (upper / "new").mkdir()
    os.setxattr(upper / "new", f"{OVERLAY}opaque", b"y")
    (upper / "new" / "a").write_text("content")
    os.link(upper / "new" / "a", upper / "z")
    (upper / "link").symlink_to("new/a")
    for path in ("new/a", "new", "."):
        # Whole microseconds, which is what unpacking makes of a time at least.
        os.utime(upper / path, ns=(0, 1_600_000_000_000_000_000))
    os.utime(upper / "link", ns=(0, 1_600_000_000_000_000_000), follow_symlinks=False)
    archive = archive_of(upper)
    again = tmp_path / "again"
    again.mkdir()
    again.chmod(0o755)
    unpack_layer(io.BytesIO(archive), again)
    os.utime(again, ns=(0, 1_600_000_000_000_000_000))
    assert archive_of(again) == archive


def test_what_no_layer_can_tell_is_refused(upper: Path) -> None:
    (upper / "moved").mkdir()
    os.setxattr(upper / "moved", f"{OVERLAY}redirect", b"/elsewhere")
    with pytest.raises(ImageError, match="layer below"):
        archive_of(upper)
    (upper / "moved").rmdir()
    (upper / ".wh.file").touch()
    with pytest.raises(ImageError, match="Rename"):
        archive_of(upper)
    (upper / ".wh.file").unlink()
    (upper / "file").touch()
    os.setxattr(upper / "file", "user.a=b", b"")
    with pytest.raises(ImageError, match="setfattr"):
        archive_of(upper)


def test_paths_that_are_no_changes_are_left_out_while_nothing_is_in_them(upper: Path) -> None:
    for folder in ("dev", "etc", "proc/sys", "srv"):
        (upper / folder).mkdir(parents=True)
    (upper / "etc" / "hosts").touch()
    (upper / "srv" / "new").touch()
    unchanged = ["/dev", "/etc", "/etc/hosts", "/proc", "/proc/sys", "/srv"]
    assert list(entries_of(upper, unchanged=unchanged)) == ["srv", "srv/new"]
    (upper / "etc" / "hosts").write_text("127.0.0.1 localhost")
    assert list(entries_of(upper, unchanged=unchanged)) == ["etc", "etc/hosts", "srv", "srv/new"]


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="Devices, owners and capabilities are made.")
class TestAsRoot:
    def test_devices_keep_their_numbers(self, upper: Path) -> None:
        os.mknod(upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(upper / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 1_000_000))
        found = entries_of(upper)
        assert (found["null"].type, found["null"].devmajor, found["null"].devminor) == (
            tarfile.CHRTYPE,
            1,
            3,
        )
        assert (found["disk"].devmajor, found["disk"].devminor) == (259, 1_000_000)

    def test_owners_are_translated_back(self, upper: Path) -> None:
        ids = IDRange(0, 1_000_000, 65536)
        os.chown(upper, 1_000_000, 1_000_000)
        for name, uid, gid in (("root", 0, 0), ("both", 5, 70), ("last", 65535, 0)):
            (upper / name).touch()
            os.chown(upper / name, 1_000_000 + uid, 1_000_000 + gid)
        (upper / "outside").touch()
        found = entries_of(upper, ids=ids)
        owners = {name: (entry.uid, entry.gid) for name, entry in found.items()}
        assert owners == {
            "root": (0, 0),
            "both": (5, 70),
            "last": (65535, 0),
            "outside": (65534, 65534),
        }

    def test_the_root_folder_is_an_entry_only_if_it_was_changed(self, upper: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive_of(upper))) as tar:
            assert tar.getnames() == []
        upper.chmod(0o700)
        with tarfile.open(fileobj=io.BytesIO(archive_of(upper))) as tar:
            (entry,) = tar
        assert (entry.name, entry.mode) == (".", 0o700)

    @pytest.mark.parametrize(
        ("root_on_disk", "ids", "kept"),
        [
            (None, None, True),
            (0, None, True),
            (1_000_000, IDRange(0, 1_000_000, 65536), True),
            (2_000_000, IDRange(0, 1_000_000, 65536), False),
        ],
    )
    def test_capabilities_are_those_of_any_root(
        self, upper: Path, root_on_disk: int | None, ids: IDRange | None, kept: bool
    ) -> None:
        value = CAPABILITY_2
        if root_on_disk is not None:
            value = struct.pack("<6I", 0x0300_0001, 1 << 13, 0, 0, 0, root_on_disk)
        (upper / "ping").touch()
        os.setxattr(upper / "ping", "security.capability", value)
        found = entries_of(upper, ids=ids)["ping"].pax_headers
        text = CAPABILITY_2.decode("utf-8", "surrogateescape")
        assert found.get("SCHILY.xattr.security.capability") == (text if kept else None)

    def test_access_control_lists_are_translated_back(self, upper: Path) -> None:
        def acl(user: int) -> bytes:
            # linux/posix_acl_xattr.h: owner, a user, the owning group, mask, others.
            entries = ((1, 6, -1), (2, 4, user), (4, 4, -1), (16, 4, -1), (32, 0, -1))
            return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)

        (upper / "file").touch()
        try:
            os.setxattr(upper / "file", "system.posix_acl_access", acl(1_000_007))
        except OSError:
            pytest.skip("This file system has no access control lists.")
        for ids, user in ((IDRange(0, 1_000_000, 65536), 7), (None, 1_000_007)):
            found = entries_of(upper, ids=ids)["file"].pax_headers
            text = found["SCHILY.xattr.system.posix_acl_access"]
            assert text.encode("utf-8", "surrogateescape") == acl(user)


def test_a_file_that_shrinks_is_filled_up(upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (upper / "log").write_bytes(b"x" * 10)
    read: Callable[[int, int], bytes] = os.read

    def shrink_first(descriptor: int, size: int) -> bytes:
        os.truncate(upper / "log", 4)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", shrink_first)
    archive = archive_of(upper)
    monkeypatch.undo()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        content = tar.extractfile("log")
        assert content is not None
        assert content.read() == b"xxxx" + bytes(6)
