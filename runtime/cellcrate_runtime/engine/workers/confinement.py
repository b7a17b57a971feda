"""Shut a worker into a container's root, which somebody hostile may have filled."""

from __future__ import annotations

# Four of these the standard library would import when it needs them: then it would be too late.
import bz2  # noqa: F401
import gzip  # noqa: F401
import lzma  # noqa: F401
import os
import sys
import zlib  # noqa: F401

from cellcrate_runtime.linux import processes

__all__ = ["enter"]


def enter(root: str | int) -> None:
    """Make a folder this process's root. Symbolic links cannot lead out of it any more.

    Two things would let the container's files take the worker over, and are prevented: Python would
    import modules from them (so it imports nothing from now on; everything is loaded already),
    and a process of the container might trace the worker or open its ``/proc/<pid>`` (so it hides).
    Nothing here asks the C library for the names of users either, which would load libraries.
    """
    processes.hide_from_others()
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path.clear()
    os.chdir(root)
    os.chroot(".")
