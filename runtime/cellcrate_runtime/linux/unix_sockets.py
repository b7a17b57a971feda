"""Addresses of sockets whose paths are too long for one: sun_path has 108 bytes, see unix(7)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

__all__ = ["address"]


@contextlib.contextmanager
def address(path: str | os.PathLike[str]) -> Iterator[str]:
    """An address for bind(2) and connect(2), good while the block runs.

    Raises:
        OSError: The folder of the socket is not there.
    """
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
