"""The HTTP side of the Docker Engine API: versions, bodies, queries, errors, hijacked connections.

Each module of this package has ``routes()``, a list of ``(pattern, handler, arguments)``. A
pattern is a regular expression for the path without the version, such as
``/containers/(?P<name>[^/]+)/json``; named groups become arguments of the handler's methods.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Iterable
from importlib import import_module
from typing import Any, TypeVar, cast

import msgspec
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application, RequestHandler

from cellcrate_runtime.engine.api.errors import ClientGoneError, answer_for
from cellcrate_runtime.engine.api.types import without_nulls
from cellcrate_runtime.engine.core import Engine
from cellcrate_runtime.engine.errors import BadRequestError, EngineError

__all__ = ["API_VERSION", "MIN_API_VERSION", "Handler", "Route", "make_app"]

_log = logging.getLogger("cellcrate.api")

API_VERSION = (1, 47)
MIN_API_VERSION = (1, 24)

Route = tuple[str, type["Handler"], dict[str, Any]]
_T = TypeVar("_T")

# One module a subject. ``prune`` comes before what takes any word for a container's name;
# ``images`` comes last: names of images have slashes, so its paths are wide.
_MODULES = (
    "prune",
    "containers",
    "attach",
    "archive",
    "build",
    "commit",
    "disk_usage",
    "events",
    "execs",
    "logs",
    "stats",
    "system",
    "top",
    "trace",
    "image_push",
    "image_layers",
    "image_transfer",
    "registries",
    "unserved",
    "images",
)


class Handler(RequestHandler):
    """What all handlers share."""

    engine: Engine
    api_version: tuple[int, int] = API_VERSION
    _counted = False

    def initialize(self, engine: Engine, **_: Any) -> None:
        """Take the engine that all handlers share."""
        self.engine = engine
        self._gone: asyncio.Future[None] | None = None

    # -- the request ---------------------------------------------------------------------------

    def prepare(self) -> None:
        """Check the version that the client speaks, and keep the engine awake meanwhile."""
        self.engine.idle.begin()
        self._counted = True
        version = self.path_kwargs.pop("version", None)
        if version is not None:
            major, _, minor = version.partition(".")
            self.api_version = (int(major), int(minor))
            _check_version(version, self.api_version)

    def on_finish(self) -> None:
        """Let the engine sleep again."""
        self._release()

    def _release(self) -> None:
        if self._counted:
            self._counted = False
            self.engine.idle.end()

    def body(self, kind: type[_T]) -> _T:
        """Return the request's JSON body as ``kind``.

        Raises:
            BadRequestError: The body is not JSON, or not what the API defines.
        """
        declared = self.request.headers.get("Content-Type", "")
        raw = self.request.body
        if raw and declared.partition(";")[0].strip() != "application/json":
            raise BadRequestError(
                f"unsupported Content-Type header ({declared}): must be 'application/json'"
            )
        try:
            return msgspec.convert(without_nulls(msgspec.json.decode(raw or b"{}")), kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequestError(f"invalid JSON: {error}") from error

    def query(self, name: str, default: str = "") -> str:
        """Return one member of the query string."""
        return self.get_query_argument(name, default) or default

    def query_bool(self, name: str, default: bool = False) -> bool:
        """Return a yes or no of the query string, spelt in any of Docker's ways."""
        value = self.get_query_argument(name, None)
        if value is None:
            return default
        return value.strip().lower() not in ("", "0", "no", "false", "none")

    def query_int(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number of the query string.

        Raises:
            BadRequestError: It is not a whole number.
        """
        value = self.query(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise BadRequestError(f"{name}={value!r} is not a whole number") from None

    # -- the answer ----------------------------------------------------------------------------

    def set_default_headers(self) -> None:
        """Name the API's version and the system, as clients expect on every answer."""
        self.set_header("Api-Version", _dotted(API_VERSION))
        self.set_header("Docker-Experimental", "false")
        self.set_header("Ostype", "linux")
        self.set_header("Server", "Cellcrate (linux)")
        self.set_header("Content-Type", "application/json")

    def compute_etag(self) -> None:
        """Make no entity tags: nothing here is cached."""

    def write_json(self, document: Any, status: int = 200) -> None:
        """Answer with a JSON document."""
        self.set_status(status)
        self.finish(msgspec.json.encode(document) + b"\n")

    def no_content(self) -> None:
        """Answer 204: done, nothing to say."""
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()

    async def stream_json(self, document: Any) -> None:
        """Send one document of a stream now.

        Raises:
            ClientGoneError: The client hung up.
        """
        await self.stream(msgspec.json.encode(document) + b"\n")

    async def stream(self, chunk: bytes) -> None:
        """Send a part of the answer now; wait while the client is slow to read.

        Raises:
            ClientGoneError: The client hung up.
        """
        if chunk:
            self.write(chunk)
        try:
            await self.flush()
        except StreamClosedError:
            raise ClientGoneError from None

    def on_connection_close(self) -> None:
        """Tell who waits in :meth:`or_disconnect`, now or later."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
        if not self._gone.done():
            self._gone.set_result(None)
        super().on_connection_close()

    async def headers_first(self, awaitable: Awaitable[_T]) -> _T:
        """Begin to wait, tell the client so by sending the headers, and wait.

        Raises:
            ClientGoneError: The client hung up first; ``awaitable`` was cancelled.
        """
        task = asyncio.ensure_future(awaitable)
        try:
            await self.stream(b"")
            return await self.or_disconnect(task)
        finally:
            task.cancel()

    async def or_disconnect(self, awaitable: Awaitable[_T]) -> _T:
        """Wait for ``awaitable``, but no longer than the client stays connected.

        Raises:
            ClientGoneError: The client hung up first; ``awaitable`` was cancelled.
        """
        task = asyncio.ensure_future(awaitable)
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((task, self._gone), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ClientGoneError
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))  # what it has open is closed now, not some day

    def hijack(self) -> tuple[int, bytes]:
        """Answer that the connection is upgraded, and take it off the event loop.

        Returns:
            The connection's descriptor, which now belongs to the caller and is in non-blocking
            mode, and the bytes that the client sent early.

        Raises:
            ClientGoneError: The client hung up.
        """
        stream = self._upgraded()
        early = _take_early(stream)
        descriptor = os.dup(stream.socket.fileno())
        stream.close()
        try:
            # The socket's buffer is empty, so this short head always fits.
            os.write(descriptor, self._upgrade_head())
        except OSError:
            os.close(descriptor)
            raise ClientGoneError from None
        return descriptor, early

    async def hijack_after(self, first: bytes) -> tuple[int, bytes]:
        """As :meth:`hijack`, but send ``first`` before, as fast as the client reads it.

        Raises:
            ClientGoneError: The client hung up.
        """
        if not first:
            return self.hijack()
        stream = self._upgraded()
        try:
            await stream.write(self._upgrade_head() + first)
        except StreamClosedError:
            raise ClientGoneError from None
        early = _take_early(stream)
        descriptor = os.dup(stream.socket.fileno())
        stream.close()
        return descriptor, early

    def _upgraded(self) -> IOStream:
        """Take the connection away from HTTP."""
        stream = self.detach()
        self._release()
        return stream

    def _upgrade_head(self) -> bytes:
        if not self.request.headers.get("Upgrade"):
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
        kind = "raw" if self.api_version < (1, 42) else self._stream_kind
        return (
            f"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.{kind}-stream\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        ).encode()

    _stream_kind = "raw"  # "multiplexed" where several streams share the connection

    # -- errors --------------------------------------------------------------------------------

    def log_exception(self, *_: Any) -> None:
        """Log nothing here: :func:`answer_for` logs what nobody foresaw."""

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with an error, unless nobody is there any more."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClientGoneError | StreamClosedError):
            self.on_finish()
            return
        if self._headers_written and error is not None:
            # All that is left is to break the answer off, so that nobody takes it for whole.
            _log.error("an answer was broken off", exc_info=error)
            cast(Any, self.request.connection).stream.close()
            self.on_finish()
            return
        super().send_error(status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a message, as Docker does."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, ClientGoneError | StreamClosedError):
            return
        if error is None:
            status, message = status_code, self._reason
        else:
            status, message = answer_for(error)
        self.set_status(status)
        if status == 304:
            self.finish()
            return
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode({"message": message}) + b"\n")


class PageNotFound(Handler):
    """A path that is not of the Docker Engine API."""

    def prepare(self) -> None:
        """Refuse every method."""
        super().prepare()
        raise _PageNotFoundError


class _PageNotFoundError(EngineError):
    status = 404

    def __init__(self) -> None:
        super().__init__("page not found")


def _take_early(stream: IOStream) -> bytes:
    """Return what has arrived on a connection that is about to be handed over."""
    early = cast("asyncio.Future[bytes]", stream.read_bytes(65536, partial=True))
    arrived = early.result() if early.done() and not early.exception() else b""
    # A read that found nothing fails when the stream is closed; nobody waits for it.
    early.add_done_callback(lambda future: future.exception())
    return arrived


def make_app(engine: Engine) -> Application:
    """Return the application that serves ``engine``."""
    rules: list[Any] = []
    for name in _MODULES:
        module = import_module(f"{__package__}.{name}")
        routes: Iterable[Route] = module.routes()
        for pattern, handler, arguments in routes:
            versioned = rf"(?:/v(?P<version>[0-9]+\.[0-9]+))?{pattern}"
            rules.append((versioned, handler, {"engine": engine, **arguments}))
    return Application(
        rules,
        default_handler_class=PageNotFound,
        default_handler_args={"engine": engine},
        log_function=_log_nothing,
    )


def _log_nothing(_: RequestHandler) -> None:
    """Requests are not logged: containers are, in events."""


def _check_version(asked: str, version: tuple[int, int]) -> None:
    if version > API_VERSION:
        raise BadRequestError(
            f"client version {asked} is too new. "
            f"Maximum supported API version is {_dotted(API_VERSION)}"
        )
    if version < MIN_API_VERSION:
        raise BadRequestError(
            f"client version {asked} is too old. Minimum supported API version is "
            f"{_dotted(MIN_API_VERSION)}, please upgrade your client to a newer version"
        )


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
