"""Files of containers: ``docker cp``, ``docker diff`` and ``docker export``."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import msgspec
from tornado.web import stream_request_body

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.errors import ClientGoneError
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.container_files import files_of
from cellcrate_runtime.engine.errors import (
    BadRequestError,
    ConflictError,
    EngineError,
    NotFoundError,
)
from cellcrate_runtime.engine.files_client import ArchiveStream, Files, WorkError
from cellcrate_runtime.engine.protocol import FailureKind, PathStat
from cellcrate_runtime.engine.shim_client import ShimError

__all__ = ["routes"]

_T = TypeVar("_T")
_log = logging.getLogger("cellcrate.api")

_TAR = "application/x-tar"
_STAT_HEADER = "X-Docker-Container-Path-Stat"

# How many pieces of an archive wait for the worker before the client has to wait.
_WAITING_PIECES = 4
# How long after a failure a container may take to be known as ended, in seconds.
_PATIENCE = 0.5
_END = b""  # the piece after the last
_ANY_SIZE = 2**63

# Failures that are the request's fault, and so not the end of the container.
_FINAL = ("not_found", "not_a_directory", "invalid", "read_only")
_ERRORS: dict[FailureKind, type[EngineError]] = {
    "not_found": NotFoundError,
    "not_a_directory": BadRequestError,
    "invalid": BadRequestError,
    "read_only": ConflictError,
    "conflict": ConflictError,
    "gone": ConflictError,
}


class _FilesHandler(Handler):
    """What the handlers of files share."""

    async def on_files(
        self, container: Container, path: str, work: Callable[[Files], Awaitable[_T]]
    ) -> _T:
        """Do something with a container's files, whether it runs or not.

        Raises:
            EngineError: It could not be done, in the words of the API.
        """
        ran = container.state.alive
        try:
            return await self.or_disconnect(self._try(container, work))
        except (WorkError, ShimError) as error:
            if not ran or error.kind in _FINAL or not await _has_ended(container):
                raise _answer(error, container, path) from error
        # It ended in between; now its files are reached from outside.
        try:
            return await self.or_disconnect(self._try(container, work))
        except (WorkError, ShimError) as error:
            raise _answer(error, container, path) from error

    async def _try(self, container: Container, work: Callable[[Files], Awaitable[_T]]) -> _T:
        return await work(await files_of(self.engine, container))

    def path(self) -> str:
        """Return the path that the request is about.

        Raises:
            BadRequestError: There is none.
        """
        path = self.query("path")
        if not path:
            raise BadRequestError('bad parameter: "path" cannot be empty')
        return path

    def done(self) -> None:
        """Answer that all went well, without a body."""
        self.clear_header("Content-Type")
        self.finish()

    async def send_archive(self, archive: ArchiveStream) -> None:
        """Send a tar archive while it is being packed."""
        self.set_header("Content-Type", _TAR)
        try:
            await send_all(self, aiter(archive))
        except WorkError as error:
            # The answer has begun: all that is left is to break it off, so that nobody takes
            # half an archive for a whole one.
            _log.error("an archive was broken off: %s", error.message)
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise ClientGoneError from error


@stream_request_body
class Archive(_FilesHandler):
    """``/containers/{id}/archive``: describe a path, pack it, or unpack an archive in it."""

    def prepare(self) -> None:
        """Begin to unpack what arrives: an archive never lies in memory as a whole."""
        super().prepare()
        self._unpacking: asyncio.Future[None] | None = None
        if self.request.method == "PUT":
            self._begin_to_unpack(self.engine.containers.get(self.path_kwargs["name"]))

    async def head(self, name: str) -> None:
        """Describe a path."""
        container, path = self.engine.containers.get(name), self.path()
        self._describe(await self.on_files(container, path, lambda files: files.stat(path)))
        self.done()

    async def get(self, name: str) -> None:
        """Pack a path as a tar archive."""
        container, path = self.engine.containers.get(name), self.path()
        async with await self.on_files(container, path, lambda files: files.get(path)) as archive:
            assert archive.stat is not None
            self._describe(archive.stat)
            await self.send_archive(archive)

    def _describe(self, found: PathStat) -> None:
        document = {
            "name": found.name,
            "size": found.size,
            "mode": found.mode,
            "mtime": timestamps.format_rfc3339(found.mtime),
            "linkTarget": found.link_target,
        }
        self.set_header(_STAT_HEADER, base64.b64encode(msgspec.json.encode(document)).decode())

    async def put(self, name: str) -> None:
        """Answer when everything has arrived and is unpacked."""
        assert self._unpacking is not None
        await self.data_received(_END)
        try:
            await self._unpacking
        except (WorkError, ShimError) as error:
            raise _answer(error, self.engine.containers.get(name), self.path()) from error
        self.done()

    def _begin_to_unpack(self, container: Container) -> None:
        self.request.connection.set_max_body_size(_ANY_SIZE)  # type: ignore[union-attr]
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_PIECES)
        self._unpacking = asyncio.ensure_future(
            self._unpack(
                container,
                self.path(),
                keep_kinds=self.query_bool("noOverwriteDirNonDir"),
                owner=container.config.user if self.query_bool("copyUIDGID") else "",
            )
        )

    async def _unpack(
        self, container: Container, path: str, *, keep_kinds: bool, owner: str
    ) -> None:
        files = await files_of(self.engine, container)
        await files.put(path, self._arriving(), keep_kinds=keep_kinds, owner=owner)

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the archive on, as soon as there is room for it."""
        if self._unpacking is None:
            return
        handing_on = asyncio.ensure_future(self._pieces.put(chunk))
        # If unpacking fails, the rest is read and let go: the answer can be sent only then.
        await asyncio.wait((self._unpacking, handing_on), return_when=asyncio.FIRST_COMPLETED)
        handing_on.cancel()

    async def _arriving(self) -> AsyncIterator[bytes]:
        while (chunk := await self._pieces.get()) != _END:
            yield chunk

    def on_connection_close(self) -> None:
        """Stop unpacking: the rest will not come."""
        if self._unpacking is not None:
            self._unpacking.cancel()
        super().on_connection_close()


class Changes(_FilesHandler):
    """``GET /containers/{id}/changes``."""

    async def get(self, name: str) -> None:
        """List what differs from the image."""
        container = self.engine.containers.get(name)
        changes = await self.on_files(container, "/", lambda files: files.changes())
        self.write_json([{"Path": change.path, "Kind": change.kind} for change in changes])


class Export(_FilesHandler):
    """``GET /containers/{id}/export``."""

    async def get(self, name: str) -> None:
        """Pack the whole root file system."""
        container = self.engine.containers.get(name)
        async with await self.on_files(container, "/", lambda files: files.export()) as archive:
            await self.send_archive(archive)


async def _has_ended(container: Container) -> bool:
    """Tell whether a container that ran runs no more, or is about to."""
    waiting = asyncio.ensure_future(container.wait("not-running"))
    await asyncio.wait((waiting,), timeout=_PATIENCE)
    waiting.cancel()
    return not container.state.alive


def _answer(error: WorkError | ShimError, container: Container, path: str) -> EngineError:
    if error.kind == "not_found":
        return NotFoundError(f"Could not find the file {path} in container {container.name}")
    return _ERRORS.get(error.kind, EngineError)(error.message)


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/containers/(?P<name>[^/]+)/archive", Archive, {}),
        (r"/containers/(?P<name>[^/]+)/changes", Changes, {}),
        (r"/containers/(?P<name>[^/]+)/export", Export, {}),
    ]
