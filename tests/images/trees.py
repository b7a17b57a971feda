"""A tree of files, described completely, so that two can be compared.

Nothing but the standard library is needed, and no file of ours: the module is also run as a program
inside containers (``python3 - ROOT <trees.py``), where it prints its description as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

Node = dict[str, Any]
Tree = dict[str, Node]

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}
# What an image can have; others, such as SELinux's labels, belong to a machine.
KEPT_XATTRS = ("user.", "security.capability")
PIECE = 1 << 20


def describe(root: str | Path, left_out: Collection[str] = ()) -> Tree:
    """Describe everything in a folder, and the folder itself as ``.``.

    Args:
        root: The folder. Other file systems that are mounted in it are not entered.
        left_out: Paths, without a slash in front, that are not described, nor what is in them.

    Returns:
        For each path its type, mode, owner, time and extended attributes; for files also size and
        SHA-256, for links where they lead, for devices their number, and the other names of files
        with several.
    """
    top = os.path.abspath(root)
    names: dict[tuple[int, int], list[str]] = {}
    tree: Tree = {}
    for path, status in _walk(top, set(left_out)):
        tree[path] = _node(os.path.join(top, path), status)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    for same in names.values():
        # Some may lie outside of the tree.
        for path in same if len(same) > 1 else ():
            tree[path]["names"] = sorted(same)
    return tree


def differences(first: Tree, second: Tree, ignored: Collection[str] = ()) -> list[str]:
    """Say, a line each, how two trees differ.

    Args:
        ignored: What may differ: members of nodes, such as ``mtime_ns``.
    """
    lines = []
    for path in sorted({*first, *second}):
        one, other = first.get(path), second.get(path)
        if one is None or other is None:
            lines.append(f"{path!r} is only in the {'first' if other is None else 'second'}")
            continue
        lines += [
            f"{path!r}: {name} is {one.get(name)!r} and {other.get(name)!r}"
            for name in sorted({*one, *other} - set(ignored))
            if one.get(name) != other.get(name)
        ]
    return lines


def describe_stack(lower: Collection[Path], left_out: Collection[str] = ()) -> Tree:
    """Describe layers, topmost first, as overlayfs shows them together; as root.

    They are mounted where only the process that describes them sees it.
    """
    script = (
        'set -e; mount -t tmpfs none "$1"; mkdir "$1/upper" "$1/work" "$1/root"; shift_to=$1; '
        'options=$2; shift 2; mount -t overlay overlay -o "$options" "$shift_to/root"; '
        'exec "$@" "$shift_to/root"'
    )
    # Somewhere that is always there, and of which the mount namespace has its own.
    where = "/mnt"
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={where}/upper,workdir={where}/work"
    program = [sys.executable, "-I", __file__, *(f"--leave-out={path}" for path in left_out)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", where, options, *program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read(done.stdout)


def read(text: str) -> Tree:
    """Read what the program printed."""
    tree: Tree = json.loads(text)
    return tree


def _walk(top: str, left_out: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    status = os.lstat(top)
    device = status.st_dev
    yield ".", status
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for name in sorted(os.listdir(os.path.join(top, folder))):
            path = os.path.join(folder, name)
            if path in left_out:
                continue
            status = os.lstat(os.path.join(top, path))
            yield path, status
            if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                waiting.append(path)


def _node(path: str, status: os.stat_result) -> Node:
    node: Node = {
        "type": KINDS[stat.S_IFMT(status.st_mode)],
        "mode": oct(stat.S_IMODE(status.st_mode)),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
        "xattrs": _xattrs(path),
    }
    if stat.S_ISREG(status.st_mode):
        node |= {"size": status.st_size, "sha256": _sha256(path)}
    elif stat.S_ISLNK(status.st_mode):
        node["target"] = os.readlink(path)
    elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        node["rdev"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    return node


def _xattrs(path: str) -> dict[str, str]:
    names = [n for n in os.listxattr(path, follow_symlinks=False) if n.startswith(KEPT_XATTRS)]
    return {
        name: os.getxattr(path, name, follow_symlinks=False).hex()
        for name in sorted(names)
        if not name.startswith("user.overlay.")
    }


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _main() -> None:
    *options, root = sys.argv[1:]
    left_out = [option.removeprefix("--leave-out=") for option in options]
    print(json.dumps(describe(root, left_out)))


if __name__ == "__main__":
    _main()
