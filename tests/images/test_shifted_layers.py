"""Copies of layers for other owners: what they keep, what they move, and that they are whole."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cellcrate_runtime.images import Image, ImageStore, shifted_layers
from cellcrate_runtime.images.shifted_copy import Copied, copy_shifted
from cellcrate_runtime.linux import idmap
from cellcrate_runtime.linux.idmap import IDRange
from images.handmade import AddImage, Entry, folder

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="Files of several users are made."),
]

IDS = IDRange(0, 1_000_000, 65536)
OTHER_IDS = IDRange(0, 2_000_000, 65536)
NOBODY = 65534
NET_RAW = 13  # linux/capability.h
CAPABILITY = struct.pack("<5I", 0x0200_0001, 1 << NET_RAW, 0, 0, 0)  # cap_net_raw=ep


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A folder to be copied."""
    (tmp_path / "layer").mkdir()
    return tmp_path / "layer"


def shifted(layer: Path) -> tuple[Path, Copied]:
    """Copy a layer."""
    target = layer.with_name("copy")
    target.mkdir()
    return target, copy_shifted(str(layer), str(target), IDS)


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def test_owners_modes_and_times(layer: Path) -> None:
    wanted = {
        "file": (0, 0, 0o640),
        "set-user-id": (1000, 1001, 0o6755),
        "sticky": (65535, 0, 0o1777),
        "closed": (5, 5, 0o000),
    }
    for name, (uid, gid, mode) in wanted.items():
        path = layer / name
        path.mkdir() if name == "sticky" else path.write_text(name)
        os.chown(path, uid, gid)
        path.chmod(mode)
        os.utime(path, ns=(1_000_000_001, 2_000_000_002))
    (layer / "sticky" / "inner").write_text("x")
    os.utime(layer / "sticky", ns=(1_000_000_001, 2_000_000_002))
    layer.chmod(0o711)
    os.chown(layer, 3, 4)
    os.utime(layer, ns=(3, 4))
    copy, copied = shifted(layer)
    for name, (uid, gid, mode) in wanted.items():
        status = (copy / name).stat()
        assert (status.st_uid, status.st_gid) == (uid + IDS.outside, gid + IDS.outside)
        assert stat.S_IMODE(status.st_mode) == mode
        assert status.st_mtime_ns == 2_000_000_002
    assert (copy / "file").read_text() == "file"
    assert owner(copy / "sticky" / "inner") == (IDS.outside, IDS.outside)
    assert owner(copy) == (IDS.outside + 3, IDS.outside + 4)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o711
    assert copy.stat().st_mtime_ns == 4
    assert copied == Copied(size=len("fileset-user-idclosedx"))


def test_owners_beyond_the_range_are_nobody(layer: Path) -> None:
    (layer / "his").write_text("x")
    os.chown(layer / "his", 70_000, 5)
    os.symlink("his", layer / "link")
    os.chown(layer / "link", 5, IDS.outside, follow_symlinks=False)  # not root's by accident
    copy, copied = shifted(layer)
    assert owner(copy / "his") == (NOBODY, IDS.outside + 5)
    assert owner(copy / "link") == (IDS.outside + 5, NOBODY)
    assert sorted(copied.nobodys) == ["his", "link"]


def test_links(layer: Path) -> None:
    (layer / "deep").mkdir()
    (layer / "one").write_text("x")
    os.link(layer / "one", layer / "deep" / "other")
    outside = layer.with_name("outside")
    outside.write_text("x")
    os.link(outside, layer / "shared with no other layer")
    os.symlink("/etc/shadow", layer / "absolute")
    os.chown(layer / "absolute", 1000, 0, follow_symlinks=False)
    os.utime(layer / "absolute", ns=(5, 6), follow_symlinks=False)
    os.link(layer / "absolute", layer / "deep" / "link", follow_symlinks=False)
    shadow = os.stat("/etc/shadow")
    copy, _ = shifted(layer)
    assert (copy / "one").samefile(copy / "deep" / "other")
    assert (copy / "one").stat().st_nlink == 2
    assert (copy / "shared with no other layer").stat().st_nlink == 1
    assert os.readlink(copy / "absolute") == "/etc/shadow"
    assert owner(copy / "absolute") == (IDS.outside + 1000, IDS.outside)
    assert (copy / "absolute").lstat().st_mtime_ns == 6
    assert (copy / "deep" / "link").lstat().st_ino == (copy / "absolute").lstat().st_ino
    assert os.stat("/etc/shadow") == shadow


def test_pipes_sockets_devices_and_whiteouts(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(layer / "pipe", 0o620)
    os.mknod(layer / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(layer / "whiteout", stat.S_IFCHR, 0)
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(layer)  # a socket's path is short, see unix(7)
        listener.bind("socket")
        copy, _ = shifted(layer)
    for name in ("pipe", "null", "whiteout", "socket"):
        before, after = (layer / name).lstat(), (copy / name).lstat()
        assert (after.st_mode, after.st_rdev) == (before.st_mode, before.st_rdev)
        assert owner(copy / name) == (IDS.outside, IDS.outside)


def test_holes_stay_holes(layer: Path) -> None:
    size = 64 << 20
    with open(layer / "sparse", "wb") as file:
        file.truncate(size)
        for place, content in ((0, b"first"), (size // 2 + 1, b"middle"), (size - 3, b"end")):
            os.pwrite(file.fileno(), content, place)
    with open(layer / "empty room", "wb") as file:
        file.truncate(size)
    copy, copied = shifted(layer)
    assert (copy / "sparse").read_bytes() == (layer / "sparse").read_bytes()
    assert (copy / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (copy / "empty room").stat().st_size == size
    assert (copy / "empty room").stat().st_blocks == 0
    assert copied.size == 2 * size


def test_content_without_copy_file_range(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels and file systems differ in whether they have it; the bytes are the same."""

    def refuse(*_: object) -> int:
        raise OSError(95, "Operation not supported")

    (layer / "file").write_bytes(os.urandom(300_000))
    with open(layer / "sparse", "wb") as file:
        file.truncate(1 << 20)
        os.pwrite(file.fileno(), b"x" * 5000, 500_000)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    copy, _ = shifted(layer)
    for name in ("file", "sparse"):
        assert (copy / name).read_bytes() == (layer / name).read_bytes()


def test_attributes(layer: Path) -> None:
    nobody = 0xFFFF_FFFF
    entries = [(1, 7, nobody), (2, 6, 1000), (4, 5, nobody), (16, 7, nobody), (32, 0, nobody)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    program, inner = layer / "program", layer / "folder"
    program.write_text("x")
    inner.mkdir()
    (inner / "file").write_text("x")
    os.setxattr(program, "user.mine", b"1")
    os.setxattr(program, "security.capability", CAPABILITY)
    os.setxattr(program, "system.posix_acl_access", acl)
    os.setxattr(inner, "system.posix_acl_default", acl)
    os.setxattr(inner, "trusted.overlay.opaque", b"y")
    copy, _ = shifted(layer)
    assert os.getxattr(copy / "program", "user.mine") == b"1"
    assert os.getxattr(copy / "program", "security.capability") == struct.pack(
        "<6I", 0x0300_0001, 1 << NET_RAW, 0, 0, 0, IDS.outside
    )
    moved = acl.replace(struct.pack("<I", 1000), struct.pack("<I", IDS.outside + 1000))
    assert os.getxattr(copy / "program", "system.posix_acl_access") == moved
    assert os.getxattr(copy / "folder", "system.posix_acl_default") == moved
    assert os.getxattr(copy / "folder", "trusted.overlay.opaque") == b"y"
    # What was in the folder before the list was set has not inherited it.
    assert "system.posix_acl_access" not in os.listxattr(copy / "folder" / "file")
    assert stat.S_IMODE((copy / "folder" / "file").stat().st_mode) == 0o644


def test_a_capability_counts_in_the_namespace_alone() -> None:
    with tempfile.TemporaryDirectory() as place:  # which everybody can reach, unlike pytest's
        os.chmod(place, 0o755)
        layer = Path(place) / "layer"
        layer.mkdir()
        shutil.copy("/usr/bin/cat", layer / "cat")
        os.setxattr(layer / "cat", "security.capability", CAPABILITY)
        copy, _ = shifted(layer)
        users = idmap.make_user_namespace([IDS], [IDS])
        try:
            enter = ["nsenter", f"--user=/proc/self/fd/{users}"]
            assert effective(layer / "cat", users) == 1 << NET_RAW
            assert effective(copy / "cat", users, enter) == 1 << NET_RAW
            assert effective(copy / "cat", users) == 0
        finally:
            os.close(users)


def effective(program: Path, users: int, enter: Sequence[str] = ()) -> int:
    """The capabilities that `cat` gets when an ordinary user executes it."""
    as_somebody = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
    command = [*enter, *as_somebody, program, "/proc/self/status"]
    said = subprocess.run(command, pass_fds=[users], stdout=subprocess.PIPE, check=True).stdout
    return next(int(line.split()[1], 16) for line in said.splitlines() if b"CapEff" in line)


def test_folders_that_lie_deep(layer: Path) -> None:
    depth = 1500  # deeper than Python's stack, and than there are descriptors
    at = os.open(layer, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    copy, _ = shifted(layer)
    try:
        assert os.stat(f"{copy}/{'d/' * depth}").st_uid == IDS.outside
    finally:
        subprocess.run(["rm", "-r", layer, copy], check=True)  # which pytest could not


# -- in the store --------------------------------------------------------------------------------


@pytest.fixture
def image(store: ImageStore, add_image: AddImage) -> Image:
    """An image of two layers that a container holds."""
    first = [folder("etc"), Entry("etc/passwd", b"root", uid=0), Entry("gone", b"x")]
    second = [Entry(".wh.gone"), Entry("mine", b"content", uid=1000, mode=0o4755)]
    image = add_image("x", first, second)
    store.hold("holder", image)
    return image


def left_behind(store: ImageStore) -> list[str]:
    return [name for name in os.listdir(store.layers.folder) if name.startswith(".")]


def test_a_container_gets_copies_or_the_layers(store: ImageStore, image: Image) -> None:
    plain = store.held_dirs("holder")
    assert store.unpacked_dirs("holder", IDS) is None
    top, bottom = store.held_dirs("holder", IDS)
    assert store.unpacked_dirs("holder", IDS) == [top, bottom]
    assert store.unpacked_dirs("holder") == plain
    assert owner(top / "mine") == (IDS.outside + 1000, IDS.outside)
    assert stat.S_IMODE((top / "mine").stat().st_mode) == 0o4755
    assert (top / "gone").stat().st_rdev == 0
    assert owner(bottom / "etc") == (IDS.outside, IDS.outside)
    assert owner(plain[0] / "mine") == (1000, 0)
    others = store.held_dirs("holder", OTHER_IDS)
    assert owner(others[0] / "mine")[0] == OTHER_IDS.outside + 1000
    assert left_behind(store) == []


def test_copies_are_made_although_the_image_is_gone(store: ImageStore, image: Image) -> None:
    store.held_dirs("holder")
    store.remove(image.id, force=True)
    assert (store.held_dirs("holder", IDS)[0] / "mine").read_bytes() == b"content"


def test_copies_take_room_and_end_with_their_layers(store: ImageStore, image: Image) -> None:
    store.held_dirs("holder")
    before = store.disk_usage().layers_size
    for ids in (IDS, OTHER_IDS):
        store.held_dirs("holder", ids)
    assert store.disk_usage().layers_size == 3 * before
    store.remove(image.id, force=True)
    assert store.unpacked_dirs("holder", IDS) is not None  # the container keeps them
    store.release("holder")
    assert store.collect() >= 3 * before
    assert os.listdir(store.layers.folder) == []


def test_two_first_starts_make_one_copy(
    store: ImageStore, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    together = threading.Barrier(4)

    def copy(source: str, target: str, ids: IDRange) -> Copied:
        made.append(source)
        time.sleep(0.05)
        return copy_shifted(source, target, ids)

    def start() -> list[Path]:
        another = ImageStore(store.root)
        together.wait()
        return another.held_dirs("holder", IDS)

    monkeypatch.setattr(shifted_layers, "copy_shifted", copy)
    store.held_dirs("holder")
    with ThreadPoolExecutor() as threads:
        found = [starting.result() for starting in [threads.submit(start) for _ in range(4)]]
    assert len(made) == 2  # one for each layer
    assert all(each == found[0] for each in found)


DIES = """
import os, signal, sys
from pathlib import Path
from cellcrate_runtime.images import ImageStore, shifted_layers
from cellcrate_runtime.linux.idmap import IDRange
copy = shifted_layers.copy_shifted
def die(*given):
    copy(*given)
    os.kill(os.getpid(), signal.SIGKILL)
shifted_layers.copy_shifted = die
ImageStore(Path(sys.argv[1])).held_dirs("holder", IDRange(0, int(sys.argv[2]), 65536))
"""


def test_a_process_that_is_killed_leaves_no_half_copy(store: ImageStore, image: Image) -> None:
    store.held_dirs("holder")
    command = [sys.executable, "-c", DIES, str(store.root), str(IDS.outside)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(left_behind(store)) == 1
    assert store.unpacked_dirs("holder", IDS) is None
    assert (store.held_dirs("holder", IDS)[0] / "mine").read_bytes() == b"content"
    store.collect()
    assert left_behind(store) == []


def test_a_copy_from_before_a_crash_of_the_machine_is_made_anew(
    store: ImageStore, image: Image
) -> None:
    top = store.held_dirs("holder", IDS)[0]
    mark = top.parent / "unsettled"
    deadline = time.monotonic() + 60
    while mark.exists():
        assert time.monotonic() < deadline, "the copy is not flushed"
        time.sleep(0.01)
    (top / "mine").write_bytes(b"")  # what a crash makes of a file that was not flushed
    mark.write_text("another boot")
    assert store.unpacked_dirs("holder", IDS) is None
    assert store.held_dirs("holder", IDS)[0] == top
    assert (top / "mine").read_bytes() == b"content"
    assert left_behind(store) == []


def test_owners_that_become_nobody_are_said(
    store: ImageStore, add_image: AddImage, caplog: pytest.LogCaptureFixture
) -> None:
    store.hold("holder", add_image("x", [Entry(f"f{n}", uid=70_000) for n in range(5)]))
    store.held_dirs("holder", IDS)
    assert "and 2 more: the ids of the owners are beyond those of a container" in caplog.text
