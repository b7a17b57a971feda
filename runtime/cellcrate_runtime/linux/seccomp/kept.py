"""Compiled filters, kept in a folder for processes that need the same ones later.

Compiling Docker's profile takes a program that is started anew for each container a fifth of its
time. Each file has what was compiled, whole, before what it was compiled to: only that is taken for
the answer, whatever the file's name is.
"""

from __future__ import annotations

import os
import zlib

__all__ = ["find", "keep", "keep_in"]

_MOST_FILES = 100

_folder: str | None = None


def keep_in(folder: str) -> None:
    """From now on, keep what this process compiles, and look it up, in a folder.

    It must be one that nobody else can write to: what is found there is loaded.
    """
    global _folder
    _folder = folder


def find(source: bytes) -> bytes | None:
    """What this was compiled to by whoever kept it, or None."""
    if _folder is None:
        return None
    beginning = source + b"\n"
    try:
        with open(_path(_folder, source), "rb") as file:
            content = file.read()
    except OSError:
        return None
    return content[len(beginning) :] if content.startswith(beginning) else None


def keep(source: bytes, compiled: bytes) -> None:
    """Keep it, whole or not at all, if there is a folder to keep it in."""
    if _folder is None:
        return
    path = _path(_folder, source)
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(_folder, 0o700, exist_ok=True)
        if len(os.listdir(_folder)) >= _MOST_FILES:
            return
        with open(temporary, "wb") as file:
            file.write(source + b"\n" + compiled)
        os.rename(temporary, path)
    except OSError:
        return  # it can be compiled again


def _path(folder: str, source: bytes) -> str:
    return f"{folder}/{zlib.crc32(source):08x}"
