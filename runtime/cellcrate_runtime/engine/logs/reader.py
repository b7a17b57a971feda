"""A log from its first wanted line to its end, or to the end of its container."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.logs.entries import Entry, Wanted, decode, select
from cellcrate_runtime.engine.logs.files import open_all, open_newer, seek_to_tail
from cellcrate_runtime.linux.inotify import Change, Inotify

__all__ = ["read"]


async def read(
    path: Path, wanted: Wanted, ended: asyncio.Future[Any] | None = None
) -> AsyncGenerator[list[Entry], None]:
    """Give the wanted lines of a log, some at a time.

    Args:
        path: The newest file of the log. It need not exist yet.
        wanted: Which lines.
        ended: When given, the log is followed until this is done: it is done when the container
            has ended and its log is complete. Everything written until then is given.
    """
    with _changes(path.parent) if ended is not None else _nothing() as changed:
        log = _OpenLog(path)
        try:
            if wanted.tail is not None:
                await log.skip_to_tail(wanted.tail)
            while True:
                # Asked before reading: what was written before the end is then read for certain.
                last_round = ended is None or ended.done() or _is_past(wanted.until)
                changed.clear()
                while lines := log.read_lines():
                    entries, past_until = select(decode(lines), wanted)
                    if entries:
                        yield entries
                    if past_until:
                        return
                    await asyncio.sleep(0)
                if last_round:
                    return
                assert ended is not None
                await _wait_for_change(changed, ended, wanted.until)
        finally:
            log.close()


class _OpenLog:
    """The files of a log, read as one, also while it is rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = open_all(path)

    async def skip_to_tail(self, lines: int) -> None:
        self._files = await seek_to_tail(self._files, lines)

    def read_lines(self) -> bytes:
        """Return the next whole lines, or nothing at the end of what is written so far."""
        while self._files:
            oldest = self._files[0]
            if lines := oldest.read_lines():
                return lines
            if len(self._files) == 1 and not self._find_newer():
                return b""
            # A file that is no longer the newest was complete before the newer one was there,
            # but perhaps not yet when it was read above.
            if lines := oldest.read_lines():
                return lines
            self._files.pop(0).close()
        return self._files[0].read_lines() if self._find_newer() else b""

    def _find_newer(self) -> bool:
        if self._files:
            self._files += open_newer(self._path, self._files[-1])
            return len(self._files) > 1
        self._files = open_all(self._path)
        return bool(self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()
        self._files = []


@contextmanager
def _changes(folder: Path) -> Iterator[asyncio.Event]:
    """Give an event that is set whenever a file of a folder was written, made or renamed."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    with Inotify() as inotify:
        inotify.watch(folder, Change.MODIFY | Change.CREATE | Change.MOVED_TO)

        def note() -> None:
            inotify.drain()
            changed.set()

        loop.add_reader(inotify.fileno(), note)
        try:
            yield changed
        finally:
            loop.remove_reader(inotify.fileno())


@contextmanager
def _nothing() -> Iterator[asyncio.Event]:
    yield asyncio.Event()


def _is_past(moment: int | None) -> bool:
    return moment is not None and timestamps.now() > moment


async def _wait_for_change(
    changed: asyncio.Event, ended: asyncio.Future[Any], until: int | None
) -> None:
    """Wait until the log grows, the container has ended, or it is *until*."""
    remaining = None if until is None else (until - timestamps.now()) / timestamps.SECOND
    waiting = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait({waiting, ended}, timeout=remaining, return_when="FIRST_COMPLETED")
    finally:
        waiting.cancel()
