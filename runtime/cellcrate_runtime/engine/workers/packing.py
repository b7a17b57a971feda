"""Pack files into a tar archive, in a stream; ``/`` is the container's root."""

from __future__ import annotations

import os

from cellcrate_runtime.engine.workers.answers import Answers
from cellcrate_runtime.engine.workers.paths import absolute, last_part
from cellcrate_runtime.images.file_packer import FilePacker, Found, walk
from cellcrate_runtime.images.tar_writer import TarWriter

__all__ = ["pack", "pack_root"]


def pack(path: str, answers: Answers) -> None:
    """Pack a file, or a folder with everything in it; names begin with the path's last part."""
    path = absolute(path)
    name = last_part(path)
    with answers.writer() as stream:
        archive = TarWriter(stream)
        packer = FilePacker(archive)
        packer.add(Found(path, name, os.lstat(path)))
        if os.path.isdir(path) and not os.path.islink(path):
            # The root's entries begin with one slash: it is an archive of "/", "/bin", ...
            for found in walk(path, "" if name == "/" else name):
                packer.add(found)
        archive.finish()


def pack_root(answers: Answers) -> None:
    """Pack the root file system; names are relative, mounts in it appear as empty folders."""
    device = os.lstat("/").st_dev
    with answers.writer() as stream:
        archive = TarWriter(stream)
        packer = FilePacker(archive)
        for found in walk("/", None, lambda folder: folder.status.st_dev == device):
            packer.add(found)
        archive.finish()
