"""Where the dynamic loader finds libraries: its cache, and the folders it knows.

Source: ld.so(8) for the order of the search, and ``sysdeps/generic/dl-cache.h`` of glibc for the
form of ``/etc/ld.so.cache``: a 48-byte header (magic, number of entries, length of the strings),
then 24 bytes an entry (flags, offset of the name, offset of the path, OS version, hardware
capabilities), offsets counting from the header.
"""

from __future__ import annotations

import os
import struct
import sysconfig
from functools import cache
from pathlib import Path

__all__ = ["DEFAULT_FOLDERS", "cached_libraries"]

MAGIC = b"glibc-ld.so.cache1.1"
HEADER = struct.Struct("=20sII")
HEADER_SIZE = 48
ENTRY = struct.Struct("=iIIIQ")


@cache
def _multiarch() -> str:
    return str(sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu")


def _default_folders() -> tuple[Path, ...]:
    """The folders that loaders look in without being told: glibc's on Debian, on others, musl's."""
    triplet = _multiarch()
    names = [f"lib/{triplet}", f"usr/lib/{triplet}", "lib64", "usr/lib64", "lib", "usr/lib"]
    return tuple(Path("/") / name for name in [*names, "usr/local/lib"])


DEFAULT_FOLDERS = _default_folders()


@cache
def cached_libraries(path: Path = Path("/etc/ld.so.cache")) -> dict[str, list[Path]]:
    """The loader's cache: for every library name, the files in the order of preference.

    Empty where there is no cache or its form is not known; the default folders still serve then.
    Entries for particular processors are left out, so that an image runs on other machines too.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    # An older form may come first, with this one after it; see cache_file_new in glibc.
    start = content.find(MAGIC)
    if start < 0:
        return {}
    libraries: dict[str, list[Path]] = {}
    try:
        _, count, _ = HEADER.unpack_from(content, start)
        for number in range(count):
            entry = start + HEADER_SIZE + number * ENTRY.size
            _, name, target, _, capabilities = ENTRY.unpack_from(content, entry)
            if capabilities == 0:
                found = libraries.setdefault(_string(content, start + name), [])
                found.append(Path(_string(content, start + target)))
    except (struct.error, ValueError):
        return {}
    return libraries


def _string(content: bytes, offset: int) -> str:
    return os.fsdecode(content[offset : content.index(b"\0", offset)])
