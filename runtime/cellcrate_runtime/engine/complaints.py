"""Say what went wrong where nobody asked: on standard error, which is the engine's log."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["complain", "complain_of_defect"]


def complain(text: str) -> None:
    """Write one line; that nobody can read it any more is no reason to stop."""
    with contextlib.suppress(OSError):
        os.write(2, f"cellcrate: {text}\n".encode("utf-8", "backslashreplace"))


def complain_of_defect() -> None:
    """Write where the exception that is being handled came from.

    Unlike the module traceback, which every shim would have in its memory, this is there anyway.
    """
    sys.excepthook(*sys.exc_info())
