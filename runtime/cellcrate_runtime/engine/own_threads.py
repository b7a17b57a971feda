"""Work in threads of its own: what takes as long as a client or a disk likes.

The event loop's pool has few threads, and they are for short work.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import sys
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import BinaryIO, Generic, TypeVar, cast

from tornado.iostream import PipeIOStream, StreamClosedError

__all__ = ["Fed", "entered", "feed", "in_own_thread"]

_T = TypeVar("_T")
_BUFFER = 256 * 1024


def in_own_thread(work: Callable[[], _T]) -> asyncio.Future[_T]:
    """Do some work in a thread of its own; the future has its result or its failure."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("_T", result))

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        # The loop is closed when the engine has left meanwhile.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True, name="image").start()
    return done


class Fed(Generic[_T]):
    """Work that reads a stream, which arrives in the event loop piece by piece.

    Attributes:
        done: Has the work's result, or its failure, when it has ended.
    """

    def __init__(self, work: Callable[[BinaryIO], _T]) -> None:
        read_end, write_end = os.pipe()
        self._pipe = PipeIOStream(write_end)
        self._broken = threading.Event()

        def run() -> _T:
            with (
                open(read_end, "rb", buffering=0) as pipe,
                io.BufferedReader(_Whole(pipe, self._broken), _BUFFER) as source,
            ):
                return work(cast("BinaryIO", source))

        self.done = in_own_thread(run)

    async def write(self, piece: bytes) -> None:
        """Hand a piece on. If the work has failed it is let go, so that the stream can end."""
        with contextlib.suppress(StreamClosedError):
            await self._pipe.write(piece)

    def end(self) -> None:
        """Let the work read to its stream's end; may be called twice."""
        self._pipe.close()

    def give_up(self) -> None:
        """Break off: the rest will not come, and nobody asks for the result.

        To the work that is a failure to read. It must not take the half for the whole.
        """
        self._broken.set()
        self.end()
        self.done.add_done_callback(lambda done: done.cancelled() or done.exception())


class _Whole(io.RawIOBase):
    """A pipe that ends only if the stream did; if that broke off, reading fails."""

    def __init__(self, pipe: io.FileIO, broken: threading.Event) -> None:
        super().__init__()
        self._pipe = pipe
        self._broken = broken

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._pipe.readinto(buffer)
        if not count and self._broken.is_set():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the rest of the stream did not come")
        return count


async def feed(pieces: AsyncIterable[bytes], work: Callable[[BinaryIO], _T]) -> _T:
    """Have work done that reads a stream, and return its result.

    A failure of the stream is raised, whatever the work made of the half of it that it had.
    """
    fed = Fed(work)
    try:
        async for piece in pieces:
            await fed.write(piece)
    except BaseException:
        fed.give_up()
        # What was half-done is taken back before anybody hears of the failure.
        await asyncio.wait((fed.done,))
        raise
    fed.end()
    return await fed.done


@contextlib.asynccontextmanager
async def entered(manager: contextlib.AbstractContextManager[_T]) -> AsyncIterator[_T]:
    """Enter and leave a context manager that may have to wait, such as for a lock, in threads."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    except BaseException:
        await asyncio.to_thread(manager.__exit__, *sys.exc_info())
        raise
    await asyncio.to_thread(manager.__exit__, None, None, None)
