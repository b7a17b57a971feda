"""What programs write, seen from the other end of a terminal or a pipe."""

from __future__ import annotations

import os

__all__ = ["read_all"]


def read_all(descriptor: int) -> bytes:
    """Read to the end; of a terminal, until its last program has closed it (EIO)."""
    said = b""
    try:
        while more := os.read(descriptor, 4096):
            said += more
    except OSError:
        pass
    return said
