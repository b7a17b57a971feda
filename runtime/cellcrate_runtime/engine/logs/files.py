"""The files of a log, and where their last lines begin."""

from __future__ import annotations

import asyncio
import os
from itertools import count
from pathlib import Path

__all__ = ["LogFile", "open_all", "open_newer", "seek_to_tail"]

# Large enough to be quick, small enough not to keep the event loop for more than a moment.
_READ_SIZE = 128 * 1024


class LogFile:
    """One open file of a log, read line by line from a position on."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        status = os.fstat(fd)
        # What a file is called changes when the log is rotated; what it is does not.
        self.identity = (status.st_dev, status.st_ino)
        self._position = 0

    @classmethod
    def open(cls, path: Path) -> LogFile | None:
        """Open a file; None where there is none."""
        try:
            return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
        except FileNotFoundError:
            return None

    def read_lines(self) -> bytes:
        """Return the next whole lines, or nothing at the end of what is written so far."""
        size = _READ_SIZE
        while True:
            chunk = os.pread(self.fd, size, self._position)
            end = chunk.rfind(b"\n") + 1
            if end or len(chunk) < size:
                self._position += end
                return chunk[:end]
            size *= 2  # a line longer than that

    def skip_to(self, position: int) -> None:
        """Continue at another position, which must be the beginning of a line."""
        self._position = position

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def open_all(path: Path) -> list[LogFile]:
    """Open the files of a log, oldest first."""
    return _open_until(path, None)


def open_newer(path: Path, than: LogFile) -> list[LogFile]:
    """Open the files that have become the newer ones since *than* was the newest."""
    return _open_until(path, than.identity)


def _open_until(path: Path, stop: tuple[int, int] | None) -> list[LogFile]:
    # From the newest to the oldest: a rotation meanwhile can show a file twice, never hide one.
    found: list[LogFile] = []
    for number in count():
        name = path.with_name(f"{path.name}.{number}") if number else path
        file = LogFile.open(name)
        if file is None:
            # Between a rotation's rename and the new file there is a moment without the newest.
            if number == 0:
                continue
            break
        if file.identity == stop:
            file.close()
            break
        if any(file.identity == known.identity for known in found):
            file.close()
            continue
        found.append(file)
    return found[::-1]


async def seek_to_tail(files: list[LogFile], lines: int) -> list[LogFile]:
    """Move to the last lines of a log, and return the files from there on.

    The files before are closed. Only the end of the log is read.
    """
    missing = lines
    for index in range(len(files) - 1, -1, -1):
        position, found = await _tail_position(files[index].fd, missing)
        missing -= found
        if missing == 0:
            files[index].skip_to(position)
            for passed in files[:index]:
                passed.close()
            return files[index:]
    return files


async def _tail_position(fd: int, lines: int) -> tuple[int, int]:
    """Return where the last lines of a file begin, and how many of those wanted there are.

    A last line that is still being written, without its end, is none of them.
    """
    seen = 0
    position = os.fstat(fd).st_size
    while position > 0:
        start = max(0, position - _READ_SIZE)
        block = os.pread(fd, position - start, start)
        inside = block.count(b"\n")
        if seen + inside > lines:
            # The first wanted line begins after the end of the line before it.
            cut = len(block)
            for _ in range(lines - seen + 1):
                cut = block.rfind(b"\n", 0, cut)
            return start + cut + 1, lines
        seen += inside
        position = start
        await asyncio.sleep(0)
    return 0, seen
