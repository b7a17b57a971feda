"""The Dockerfiles of ``dockerfiles/``: how each is built, and what is known of other builders."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dockerfiles"
# All files of contexts have this time, so that what is copied can be told from what is made.
OLD = 1_577_836_800  # 2020-01-01


@dataclass(frozen=True)
class Case:
    """One of them.

    Attributes:
        arguments: ``--build-arg``.
        target: ``--target``.
        prepare: Adds to the context what a repository cannot hold.
        lacks: What Debian's buildah (1.28) cannot do of it; the case has ``files`` then.
        files: What files there must be, and what is in them; None for what must not be there.
        config: What Docker's documentation asks of members of the configuration in which buildah
            differs.
        tree: Paths at which buildah's tree differs.
    """

    arguments: dict[str, str] = field(default_factory=dict)
    target: str = ""
    prepare: Callable[[Path], None] = lambda _: None
    lacks: str = ""
    files: dict[str, str | None] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    tree: tuple[str, ...] = ()


def context_of(name: str, folder: Path) -> Path:
    """Make a case's context in a folder."""
    context = folder / name
    shutil.copytree(FOLDER / name, context, symlinks=True)
    context.chmod(0o755)
    for parent, folders, files in os.walk(context):
        for one in (*folders, *files):
            path = os.path.join(parent, one)
            if not os.path.islink(path):
                os.chmod(path, 0o755 if one in folders else 0o644)
    CASES[name].prepare(context)
    for parent, folders, files in os.walk(context):
        for one in (*folders, *files):
            os.utime(os.path.join(parent, one), (OLD, OLD), follow_symlinks=False)
    return context


def _archive() -> bytes:
    """An archive with owners, modes, and links of both kinds."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, content: bytes = b"", **members: object) -> None:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime, entry.size = 0o644, OLD, len(content)
            for member, value in members.items():
                setattr(entry, member, value)
            archive.addfile(entry, io.BytesIO(content))

        same = {"mode": 0o640, "uid": 33, "gid": 44}
        add("folder", type=tarfile.DIRTYPE, mode=0o750, uid=11, gid=22)
        add("folder/file", b"content\n", **same)
        add("folder/link", type=tarfile.SYMTYPE, linkname="file")
        add("folder/again", type=tarfile.LNKTYPE, linkname="folder/file", **same)
        add("top", b"top\n", mode=0o4755)
    return stream.getvalue()


def _archives(context: Path) -> None:
    plain = _archive()
    (context / "plain.tar").write_bytes(plain)
    (context / "packed.tar.gz").write_bytes(gzip.compress(plain, mtime=0))
    (context / "packed.tar.bz2").write_bytes(bz2.compress(plain))
    (context / "packed.tar.xz").write_bytes(lzma.compress(plain))
    (context / "misleading.txt").write_bytes(gzip.compress(plain, mtime=0))
    (context / "only.gz").write_bytes(gzip.compress(b"no archive\n", mtime=0))


def _linked_archive(context: Path) -> None:
    with tarfile.open(context / "links.tar", "w") as archive:
        for name in ("link/through-link", "real/through/deeper"):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.size = OLD, 2
            archive.addfile(entry, io.BytesIO(b"x\n"))


def _plain_archive(context: Path) -> None:
    (context / "plain.tar").write_bytes(_archive())


def _modes(context: Path) -> None:
    (context / "private/file").chmod(0o600)
    (context / "private").chmod(0o700)
    (context / "sticky").chmod(0o1777)
    (context / "setuid").chmod(0o4711)
    (context / "secret").chmod(0o400)
    os.link(context / "plain", context / "second-name")


NO_HEREDOCS = "heredocs"
CASES = {
    "arg-scoping": Case(arguments={"GIVEN": "given"}),
    "quoting": Case(),
    "continuation": Case(),
    # buildah leaves the backquote in values, where the directive has it escape.
    "escape": Case(
        config={
            "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "A=one", 'B=two"quotes"', "C=c$A"],
            "WorkingDir": "/back\\slash",
        },
        tree=("back\\slash", "backslash", "C:\\file", "C:file"),
    ),
    "stages": Case(),
    "target": Case(target="wanted"),
    "copy-forms": Case(),
    "wildcards": Case(),
    "owners": Case(),
    # buildah makes a folder anew of which only a part is not ignored.
    "ignored": Case(tree=("all/made",)),
    "ignored-all-but": Case(),
    "ignore-file-of-its-own": Case(),
    "archives": Case(prepare=_archives),
    "archive-through-links": Case(prepare=_linked_archive),
    "triggers": Case(),
    "triggers-kept": Case(),
    # buildah has the usual shell run a CMD, whatever SHELL says.
    "shells": Case(config={"Cmd": ["/bin/sh", "-e", "-c", "echo hello"]}),
    "links": Case(),
    "linked-destinations": Case(),
    # buildah takes the set-user-id bit away, Docker does not.
    "modes": Case(prepare=_modes, tree=("all/setuid", "setuid")),
    "made-by-run": Case(),
    "deleted": Case(),
    "health": Case(),
    "health-shell": Case(),
    "health-none": Case(),
    # buildah keeps ranges, which the configuration of an image has no room for.
    "ports": Case(
        config={
            "ExposedPorts": {
                port: {}
                for port in (
                    *("80/tcp", "443/tcp", "53/udp", "9000/tcp", "9000/udp"),
                    *("8000/tcp", "8001/tcp", "8002/tcp", "8003/tcp"),
                )
            }
        }
    ),
    # buildah makes the folder of a volume that a variable names, and of no other.
    "volumes": Case(tree=("var/variable",)),
    # WORKDIR gives folders to the user in buildah, and to root in Docker.
    "users": Case(tree=("after", "after/user", "made/by/workdir/relative")),
    "commands": Case(),
    "commands-reset": Case(),
    "labels": Case(),
    "substitution": Case(),
    "hard-links": Case(),
    "from-scratch": Case(),
    # buildah leaves the folder in the layer that it made to mount the cache in.
    "mounts": Case(tree=("cache",)),
    "heredoc-run": Case(
        lacks=NO_HEREDOCS,
        files={
            "one": "hello world\nback\\slash\n",
            "two": "tabs\n",
            "three": "first world\nsecond $WHO\n",
        },
    ),
    "heredoc-copy": Case(
        lacks=NO_HEREDOCS,
        files={
            "files/one.txt": 'hello world "quoted"\n',
            "files/two.txt": "hello $WHO\n",
            "files/a.txt": "a\n",
            "script": '#!/bin/sh\necho "world"\n',
            "said": "world\n",
        },
    ),
    "new-flags": Case(
        prepare=_plain_archive,
        lacks="--link, --exclude, --parents, --unpack and modes in words",
        files={
            "linked/a.txt": "a\n",
            "excluded/a.c": "c\n",
            "excluded/a.o": None,
            "excluded/sub": None,
            "parents/deep/er/file": "f\n",
            "parents/deep/other/g": "g\n",
            "pivot/er/file": "f\n",
            "pivot/deep": None,
            "symbolic/sub/x": "x\n",
        },
    ),
    "platform": Case(),
}
