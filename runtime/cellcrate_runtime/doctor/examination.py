"""Trying everything, in about half a second."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import msgspec

from .report import Report

__all__ = ["examine", "examine_here"]

_TIMEOUT = 30.0


def examine() -> Report:
    """Try everything and return what was found.

    The probes fork, which a process with several threads had better not do; such a process has
    it done by a fresh Python. Blocks for as long as it takes, about half a second: an event loop
    calls it in a thread.

    Raises:
        RuntimeError: The other Python failed.
    """
    if threading.active_count() == 1 and threading.current_thread() is threading.main_thread():
        return examine_here()
    done = subprocess.run(
        [sys.executable, "-m", __package__],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT,
        check=False,
    )
    try:
        return msgspec.json.decode(done.stdout, type=Report)
    except msgspec.DecodeError as error:
        said = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"The examination failed: {said}") from error


def examine_here() -> Report:
    """Try everything in children of this process, which must have one thread."""
    from . import probes  # the engine does not need them in its memory
    from .runner import run
    from .verdict import conclude

    return conclude(run(probes.for_this_user()))
