"""The engine's side of file workers: copy in and out of containers, export, list changes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

from cellcrate_runtime.engine import protocol, wire
from cellcrate_runtime.engine.async_channel import Channel

__all__ = ["ArchiveStream", "Files", "WorkError"]

_CHUNK = 256 * 1024
"""How much of an archive is moved at once, in bytes."""

StartWorker: TypeAlias = Callable[[protocol.Task, Sequence[int]], Awaitable[None]]


class WorkError(Exception):
    """A file worker could not do what it was asked; ``kind`` says what sort of failure it was."""

    def __init__(self, kind: protocol.FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Files:
    """The files of one container. Each call runs a worker process of its own."""

    def __init__(self, start: StartWorker) -> None:
        self._start = start

    async def stat(self, path: str) -> protocol.PathStat:
        """Describe a path; links on the way to it are followed inside the container's root.

        Raises:
            WorkError: There is no such path (``not_found``).
        """
        async with await self._run(protocol.StatPath(path=path)) as worker:
            found = await worker.described()
            await worker.done()
            return found

    async def get(self, path: str) -> ArchiveStream:
        """Begin to pack a path, as ``docker cp`` does.

        Raises:
            WorkError: There is no such path (``not_found``).
        """
        worker = await self._run(protocol.GetArchive(path=path))
        try:
            return ArchiveStream(worker, await worker.described())
        except BaseException:
            worker.close()
            raise

    async def export(self) -> ArchiveStream:
        """Begin to pack the root file system, without what is mounted in it."""
        return ArchiveStream(await self._run(protocol.Export()), None)

    async def pack_layer(
        self, latest: int | None = None, unchanged: Sequence[str] = ()
    ) -> ArchiveStream:
        """Begin to pack what differs from the image, as the archive of an image's layer.

        Args:
            latest: No file is to be later than this, in seconds since 1970.
            unchanged: Folders that are no changes in themselves, beside those of mount points.
        """
        task = protocol.PackLayer(latest=latest, unchanged=list(unchanged))
        return ArchiveStream(await self._run(task), None)

    async def put(
        self,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        keep_kinds: bool = False,
        owner: str = "",
    ) -> None:
        """Unpack a tar archive, which may be compressed, in a folder of the container.

        Args:
            path: The folder.
            archive: The archive's bytes, in pieces.
            keep_kinds: Refuse to replace a folder by something else, or the other way round
                (``noOverwriteDirNonDir``).
            owner: Who gets the files, as ``docker run --user``, for ``copyUIDGID``: Docker gives
                them to the container's configured user then. Empty: the archive's owners.

        Raises:
            WorkError: The folder does not exist (``not_found``), is none (``not_a_directory``),
                may not be written (``read_only``), or the archive is broken (``invalid``).
        """
        task = protocol.PutArchive(path=path, keep_kinds=keep_kinds, owner=owner)
        async with await self._run(task) as worker:
            async for chunk in archive:
                if not await worker.write(chunk):
                    break
            worker.end_of_data()
            await worker.done()

    async def changes(self) -> list[protocol.Change]:
        """List what differs from the image, sorted by path.

        Raises:
            WorkError: The writable layer could not be read.
        """
        found: list[protocol.Change] = []
        async with await self._run(protocol.Changes()) as worker:
            while isinstance(answer := await worker.answer(), protocol.ChangesFound):
                found += answer.changes
        return found

    async def plan_copies(self, request_file: str) -> protocol.CopiesPlanned:
        """Find out what a build would copy.

        Raises:
            WorkError: It cannot be copied; the message says why (``invalid``).
        """
        task = protocol.PackCopies(request_file=request_file, only_plan=True)
        async with await self._run(task) as worker:
            planned = await worker.answer()
            if not isinstance(planned, protocol.CopiesPlanned):
                raise _unexpected(planned)
            await worker.done()
            return planned

    async def pack_copies(self, request_file: str) -> ArchiveStream:
        """Begin to pack what a build copies, as the archive of a layer."""
        return ArchiveStream(await self._run(protocol.PackCopies(request_file=request_file)), None)

    async def remove_trees(self, paths: Sequence[str]) -> None:
        """Remove folders of the host, whoever owns the files in them; see :class:`RemoveTrees`.

        Raises:
            WorkError: Something could not be removed.
        """
        async with await self._run(protocol.RemoveTrees(paths=list(paths))) as worker:
            await worker.done()

    async def _run(self, task: protocol.Task) -> _Worker:
        worker = _Worker()
        try:
            await self._start(task, worker.remote_descriptors())
        except BaseException:
            worker.close()
            raise
        finally:
            worker.close_remote()
        return worker


class ArchiveStream:
    """A tar archive as it is being packed; iterate over it, and close it.

    Attributes:
        stat: What was packed; None for an export.
    """

    def __init__(self, worker: _Worker, stat: protocol.PathStat | None) -> None:
        self._worker = worker
        self.stat = stat

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the archive in pieces.

        Raises:
            WorkError: Packing failed half-way: the archive is not complete.
        """
        while chunk := await self._worker.read():
            yield chunk
        await self._worker.done()

    def close(self) -> None:
        """Stop packing, if it still goes on, and release everything; may be called twice."""
        self._worker.close()

    async def __aenter__(self) -> ArchiveStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """One worker process: a channel for its answers and a stream for the archive."""

    def __init__(self) -> None:
        answers, self._remote_answers = wire.pair()
        self._data, self._remote_data = socket.socketpair()
        self._data.setblocking(False)
        self._answers: asyncio.Queue[protocol.WorkerMessage] = asyncio.Queue()
        self._channel = Channel(
            answers, wire.worker_messages, self._answers.put_nowait, self._ended_early
        )

    def remote_descriptors(self) -> list[int]:
        return [self._remote_answers.fileno(), self._remote_data.fileno()]

    def close_remote(self) -> None:
        self._remote_answers.close()
        self._remote_data.close()

    async def answer(self) -> protocol.WorkerMessage:
        message = await self._answers.get()
        if isinstance(message, protocol.Failed):
            raise WorkError(message.kind, message.message)
        return message

    async def described(self) -> protocol.PathStat:
        message = await self.answer()
        if not isinstance(message, protocol.PathStat):
            raise _unexpected(message)
        return message

    async def done(self) -> None:
        message = await self.answer()
        if not isinstance(message, protocol.Done):
            raise _unexpected(message)

    async def read(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._data, _CHUNK)

    async def write(self, data: bytes) -> bool:
        """Give the worker more of an archive; False when it reads no more."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._data, data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end_of_data(self) -> None:
        with contextlib.suppress(OSError):  # the worker has closed its end; its answer says why
            self._data.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of the worker, which stops at its next read or write."""
        self.close_remote()
        self._channel.close()
        self._data.close()

    async def __aenter__(self) -> _Worker:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _ended_early(self) -> None:
        # After Done nobody reads this any more.
        message = "the process that worked on the container's files ended half-way"
        self._answers.put_nowait(protocol.Failed(kind="gone", message=message))


def _unexpected(message: protocol.WorkerMessage) -> WorkError:
    return WorkError("internal", f"a file worker answered with {type(message).__name__}")
