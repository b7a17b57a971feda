"""``--log-driver`` and ``--log-opt``: where output is kept, and how much of it."""

from __future__ import annotations

import re

from cellcrate_runtime.engine.api.types import LogConfig
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.protocol import LogFile

__all__ = ["log_file"]

_SIZE = re.compile(r"([0-9]+)([kmg]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
# Options that change nothing of what is written here.
_HARMLESS = frozenset({"mode", "max-buffer-size", "compress"})


def log_file(config: LogConfig, path: str) -> LogFile:
    """Return where a container's output goes.

    Raises:
        BadRequestError: An option is unknown or makes no sense.
    """
    options = {k: v for k, v in config.config.items() if k not in _HARMLESS}
    if config.type == "none":
        return LogFile()
    max_size = _size(options.pop("max-size", "0"))
    max_files = _count(options.pop("max-file", "1"))
    if options:
        raise BadRequestError(
            f"unknown log opt '{next(iter(options))}' for json-file log driver. It can be "
            "max-size or max-file"
        )
    if max_files > 1 and not max_size:
        raise BadRequestError("max-file needs max-size: without it no second file is begun")
    return LogFile(path=path, max_size=max_size, max_files=max_files)


def _size(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if text.strip() == "-1":
        return 0
    if found is None:
        raise BadRequestError(f"invalid log size max-size={text!r}. Write it as 500k, 10m or 1g")
    return int(found[1]) * _UNITS[found[2].lower()]


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise BadRequestError(f"max-file={text!r} must be a number from 1")
    return int(text)
