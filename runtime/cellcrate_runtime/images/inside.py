"""The program that works on the files of layers inside an ordinary user's namespace.

``python -m cellcrate_runtime.images.inside unpack FOLDER`` reads a layer's archive from its
standard input; ``... remove FOLDER`` removes a folder. It answers with one JSON document. See
:mod:`cellcrate_runtime.images.subordinate`, which executes it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from cellcrate_runtime.images.errors import ImageError
from cellcrate_runtime.images.subordinate import Answer
from cellcrate_runtime.linux.rootless import enter_user_namespace, is_single_id
from cellcrate_runtime.linux.tree_removal import remove_tree

__all__ = ["main"]

REFUSED = "all files are yours, because newuidmap gave you no subordinate ids (cellcrate doctor)"


def main(arguments: list[str]) -> None:
    """Do one task and write the answer to standard output."""
    task, folder = arguments
    enter_user_namespace()
    try:
        answer = _unpack(folder) if task == "unpack" else _remove(folder)
    except ImageError as error:
        answer = Answer(error=type(error).__name__, message=str(error))
    except OSError as error:
        answer = Answer(
            error=OSError.__name__, message=str(error.filename), number=error.errno or 0
        )
    os.write(sys.stdout.fileno(), msgspec.json.encode(answer))


def _unpack(folder: str) -> Answer:
    from cellcrate_runtime.images.unpack import fill

    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as archive:
        info = fill(archive, Path(folder), REFUSED if is_single_id() else None)
        # What comes after the archive's end is verified by who writes it.
        while archive.read(1 << 20):
            pass
    return Answer(info=info)


def _remove(folder: str) -> Answer:
    remove_tree(folder)
    return Answer()


if __name__ == "__main__":
    main(sys.argv[1:])
