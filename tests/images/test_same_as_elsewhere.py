"""Layers that buildah made are on disk here, byte for byte, what podman and umoci make of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore

pytestmark = [
    pytest.mark.peer,
    pytest.mark.root,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("buildah", "podman", "skopeo", "umoci"))),
        reason="buildah, podman, skopeo and umoci are driven as root.",
    ),
]

CAPABILITY = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0)  # cap_net_raw=ep


class Elsewhere:
    """buildah, podman, skopeo and umoci, with state of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = [f"--root={folder}/root", f"--runroot={folder}/run"]

    def run(self, program: str, *words: str | Path) -> str:
        state = self._state if program in ("buildah", "podman") else []
        done = subprocess.run(
            [program, *state, *words],
            env={**os.environ, "TMPDIR": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with tempfile.TemporaryDirectory(prefix="cc-", dir="/var/tmp") as folder:
        tools = Elsewhere(Path(folder))
        try:
            yield tools
        finally:
            tools.run("podman", "umount", "--all", "--force")
            tools.run("podman", "image", "umount", "--all", "--force")
            for driver in (tools.folder / "root").glob("overlay"):
                subprocess.run(["umount", driver], capture_output=True, check=False)


def fill(root: Path) -> None:
    """Everything that a file system has and an image can keep."""
    for name, mode, owner in (
        ("etc", 0o755, 0), ("home", 0o2770, 1000), ("tmp", 0o1777, 0), ("closed", 0o000, 5),
        ("replaced", 0o755, 0), ("removed", 0o755, 0), ("emptied", 0o755, 0),
    ):  # fmt: skip
        (root / name).mkdir()
        os.chown(root / name, owner, owner + 1)
        (root / name).chmod(mode)
        for child in ("one", "two", f"in-{name}"):
            (root / name / child).write_text(child)
    (root / "etc/suid").write_bytes(b"x" * 100_000)
    os.chown(root / "etc/suid", 0, 42)
    (root / "etc/suid").chmod(0o6755)
    (root / "etc/capable").write_text("x")
    os.setxattr(root / "etc/capable", "security.capability", CAPABILITY)
    os.setxattr(root / "etc/capable", "user.note", b"\0\xff bytes")
    os.setxattr(root / "home", "user.folder", b"yes")
    os.link(root / "etc/capable", root / "home/hard")
    os.symlink("/etc/suid", root / "home/link")
    os.chown(root / "home/link", 1000, 1000, follow_symlinks=False)
    os.link(root / "home/link", root / "home/hard link", follow_symlinks=False)
    os.symlink("nowhere", root / "dangling")
    os.mkfifo(root / "pipe", 0o620)
    os.mknod(root / "null", stat.S_IFCHR, os.makedev(1, 3))
    (root / "null").chmod(0o666)
    with (root / "sparse").open("wb") as file:
        file.seek(5 << 20)
        file.write(b"end")
    (root / "café ☃ \N{HANGUL SYLLABLE GA}").write_text("x")
    deep = root / "/".join(["d" * 150] * 4)
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    big = 3_000_000_000
    (root / "owned").write_text("x")
    os.chown(root / "owned", big, big + 1)
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)


def change(root: Path) -> None:
    """What the second layer does to the first."""
    shutil.rmtree(root / "removed")
    shutil.rmtree(root / "replaced")
    (root / "replaced").write_text("now a file")
    shutil.rmtree(root / "emptied")
    (root / "emptied").mkdir()
    (root / "emptied/new").write_text("x")
    (root / "etc/one").unlink()
    (root / "home/hard").chmod(0o600)
    (root / "tmp/two").unlink()
    (root / "tmp/two").mkdir()


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything that can be asked of a tree; its root aside, which each program makes itself."""
    found: dict[str, tuple[object, ...]] = {}
    names: dict[tuple[int, int], list[str]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content = ""
        if kind == stat.S_IFREG:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif kind == stat.S_IFLNK:
            content = os.readlink(path)
        name = str(path.relative_to(root))
        names.setdefault((status.st_dev, status.st_ino), []).append(name)
        found[name] = (
            oct(status.st_mode), status.st_uid, status.st_gid, status.st_rdev, content,
            status.st_mtime_ns,
            {
                attribute: os.getxattr(path, attribute, follow_symlinks=False)
                for attribute in os.listxattr(path, follow_symlinks=False)
                if not attribute.startswith(("trusted.overlay.", "user.overlay."))
            },
        )  # fmt: skip
    found["hard links"] = tuple(sorted(map(tuple, (n for n in names.values() if len(n) > 1))))
    return found


def mounted(layers: Sequence[Path], folder: Path) -> Iterator[Path]:
    (folder / "mounted").mkdir()
    options = f"lowerdir={':'.join(map(str, layers))}"
    command = ["mount", "-t", "overlay", "-o", options, "overlay", folder / "mounted"]
    subprocess.run(command, check=True)
    try:
        yield folder / "mounted"
    finally:
        subprocess.run(["umount", folder / "mounted"], check=True)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_an_image_of_buildahs(
    store: ImageStore, elsewhere: Elsewhere, tmp_path: Path, compression: str
) -> None:
    container = elsewhere.run("buildah", "from", "scratch")
    fill(Path(elsewhere.run("buildah", "mount", container)))
    first = elsewhere.run("buildah", "commit", "--quiet", container, "first")
    container = elsewhere.run("buildah", "from", "first")
    change(Path(elsewhere.run("buildah", "mount", container)))
    image = elsewhere.run("buildah", "commit", "--quiet", container, "second")
    assert image != first
    theirs = listing(Path(elsewhere.run("podman", "image", "mount", image)))

    layout = f"{elsewhere.folder}/layout"
    push = ["push", "--quiet", "--format=oci", f"--compression-format={compression}"]
    elsewhere.run("buildah", *push, image, f"oci:{layout}:second")
    with (tmp_path / "layout.tar").open("wb") as file:
        subprocess.run(["tar", "-C", layout, "-c", "."], stdout=file, check=True)
    with (tmp_path / "layout.tar").open("rb") as archive:
        (loaded,) = store.load(archive)
    ours_image = store.get(loaded.image_id)
    types = {layer.media_type for layer in ours_image.manifest.layers}
    assert types == {f"application/vnd.oci.image.layer.v1.tar+{compression}"}
    for ours in mounted(store.lower_dirs(ours_image), tmp_path):
        found = listing(ours)
    assert found == theirs
    assert found["null"][:1] == (oct(stat.S_IFCHR | 0o666),)
    assert found["etc/capable"][-1] == {
        "security.capability": CAPABILITY, "user.note": b"\0\xff bytes"
    }  # fmt: skip
    assert "removed" not in found

    if compression == "gzip":  # umoci as Debian has it reads no zstd
        elsewhere.run("umoci", "unpack", "--image", f"{layout}:second", elsewhere.folder / "bundle")
        third = listing(elsewhere.folder / "bundle/rootfs")
        assert third == found
