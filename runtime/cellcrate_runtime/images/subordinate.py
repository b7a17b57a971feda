"""Layers of an ordinary user whose files belong to others: the user's subordinate ids, subuid(5).

Only inside a user namespace that has these ids may the user give files to them, set file
capabilities, and remove such files again. One is entered by a process that has a single thread, so
it is a program of its own (:mod:`cellcrate_runtime.images.inside`), executed for each task. The
archive reaches it through a pipe: decompressing and verifying stay here, and go on at the same
time.

An id in the namespace is what a container calls it, because the launcher enters a namespace of the
same mapping (:mod:`cellcrate_runtime.linux.rootless`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import msgspec

from cellcrate_runtime.images import errors
from cellcrate_runtime.images.digests import Readable
from cellcrate_runtime.images.layer_info import LayerInfo
from cellcrate_runtime.images.tar_stream import PIECE
from cellcrate_runtime.linux import tree_removal
from cellcrate_runtime.linux.rootless import has_subordinate_ids

__all__ = ["Answer", "remove_tree", "unpack", "why_not"]

_PROGRAM = "cellcrate_runtime.images.inside"
_HELPERS = ("newuidmap", "newgidmap")


class Answer(msgspec.Struct, omit_defaults=True):
    """What the program says at its end: what it unpacked, or which error it met."""

    info: LayerInfo | None = None
    error: str | None = None
    message: str = ""
    number: int = 0


def why_not() -> str | None:
    """Why this user's files cannot have other owners, and what would mend it; None if they can."""
    if not all(map(shutil.which, _HELPERS)):
        return "all files are yours, because newuidmap is missing (sudo apt install uidmap)"
    if not has_subordinate_ids():
        return (
            "all files are yours, because you have no subordinate ids (sudo usermod "
            "--add-subuids 100000-165535 --add-subgids 100000-165535 YOU)"
        )
    return None


def unpack(archive: Readable, folder: Path) -> LayerInfo:
    """Unpack a layer's archive into an empty folder, with the owners that it names.

    Raises:
        The same as :func:`cellcrate_runtime.images.unpack.unpack_layer`.
    """
    with _started("unpack", folder) as process:
        assert process.stdin is not None
        try:
            # Who has met an error reads no more; its answer says why.
            with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
                _pump(archive, pipe)
            process.stdin = None  # communicate() would flush it
        except BaseException:
            process.kill()
            raise
        info = _result(process).info
    assert info is not None, "it has unpacked something"
    return info


def remove_tree(path: Path) -> None:
    """Remove a folder with everything in it, whoever of this user's ids it belongs to.

    A folder that is not there is no error. Symbolic links are removed, never followed.

    Raises:
        PermissionError: Something in it belongs to somebody else.
    """
    try:
        tree_removal.remove_tree(os.fspath(path))
    except PermissionError:
        if os.geteuid() == 0 or why_not() is not None:
            raise
        with _started("remove", path) as process:
            _result(process)


def _started(task: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _PROGRAM, task, os.fspath(folder.absolute())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _pump(archive: Readable, pipe: IO[bytes]) -> None:
    while piece := archive.read(PIECE):
        pipe.write(piece)


def _result(process: subprocess.Popen[bytes]) -> Answer:
    """Wait for the program's answer, and raise the error that it met.

    What it says on the way is little: the pipes hold it until it is read here.
    """
    said, complaints = process.communicate()
    try:
        answer = msgspec.json.decode(said, type=Answer)
    except msgspec.DecodeError:
        lines = complaints.decode(errors="replace").strip().splitlines()
        raise errors.ImageError(
            "the process that works on the layers' files in your user namespace ended with status "
            f"{process.returncode}: {lines[-1] if lines else 'it said nothing'}"
        ) from None
    if answer.error == OSError.__name__:
        raise OSError(answer.number, os.strerror(answer.number), answer.message)
    if answer.error is not None:
        kind: type[errors.ImageError] = getattr(errors, answer.error)
        raise kind(answer.message)
    return answer
