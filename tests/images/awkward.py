"""A tree with everything in it that is awkward in an image."""

from __future__ import annotations

import os
import shutil
import stat
import struct
from pathlib import Path

__all__ = ["change", "fill"]

CAPABILITY = struct.pack("<5I", 0x0200_0001, 1 << 13, 0, 0, 0)  # cap_net_raw=ep
NOT_UTF8 = os.fsdecode(b"caf\xe9")


def fill(root: Path) -> None:
    """Make everything but what needs a layer below; as root, in a folder that has none of it."""
    for folder in ("programs", "kept", "emptied", "replaced/old", "opaque"):
        (root / folder).mkdir(parents=True)
    (root / "programs/setuid").write_bytes(b"#!/bin/sh\n")
    (root / "programs/capable").write_bytes(b"\x7fELF")
    os.setxattr(root / "programs/capable", "security.capability", CAPABILITY)
    (root / "kept/attributes").write_text("content")
    os.setxattr(root / "kept/attributes", "user.text", "Grüße".encode())
    os.setxattr(root / "kept/attributes", "user.binary", b"\x00\xff\n=\x80")
    os.setxattr(root / "kept", "user.folder", b"1")
    (root / "kept/sparse").write_bytes(b"")
    os.truncate(root / "kept/sparse", 3 << 20)
    (root / "kept" / NOT_UTF8).write_text("latin")
    (root / "kept" / "한글").write_text("korean")
    (root / "kept" / ("x" * 200)).write_text("long")
    for path in ("programs/linked", "kept/linked", "opaque/linked"):
        os.link(root / "kept/attributes", root / path)
    (root / "nowhere").symlink_to("../../not/there")
    (root / "loop").symlink_to("loop")
    os.link(root / "nowhere", root / "nowhere too", follow_symlinks=False)
    os.mkfifo(root / "pipe")
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70_000))
    for name in ("removed", "emptied/one", "replaced/old/file", "opaque/below"):
        (root / name).write_text(name)
    owners = {"programs/setuid": (0, 42), "kept/attributes": (65535, 65534), "nowhere": (7, 8)}
    for name, (uid, gid) in owners.items():
        os.chown(root / name, uid, gid, follow_symlinks=False)
    modes = {
        "programs/setuid": 0o6755,
        "pipe": 0o600,
        "null": 0o666,
        "disk": 0o660,
        "opaque": 0o1777,
    }
    for name, mode in modes.items():
        (root / name).chmod(mode)
    folders = [root / name for name in ("programs", "kept", "emptied", "replaced", "opaque")]
    made = [*folders, *(below for folder in folders for below in folder.rglob("*"))]
    made += [root / name for name in ("nowhere", "loop", "pipe", "null", "disk", "removed")]
    # Last, and what lies in a folder before the folder.
    for number, path in enumerate(sorted(made, reverse=True)):
        time = 1_000_000_000_123_456_789 + number * 86_400_000_000_001
        os.utime(path, ns=(time, time), follow_symlinks=False)


def change(root: Path) -> None:
    """Change it, so that a second layer has whiteouts and opaque folders."""
    (root / "removed").unlink()
    (root / "emptied/one").unlink()
    shutil.rmtree(root / "replaced")
    (root / "replaced").write_text("a file now")
    shutil.rmtree(root / "opaque")
    (root / "opaque").mkdir(0o750)
    (root / "opaque/new").write_text("new")
    (root / "programs/setuid").chmod(0o4711)
    os.chown(root / "kept/linked", 1, 1)
