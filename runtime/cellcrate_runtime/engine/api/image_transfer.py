"""Images that come and go: pull, save and load."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO, TypeVar, cast

import msgspec
from tornado.iostream import PipeIOStream, StreamClosedError
from tornado.web import stream_request_body

from cellcrate_runtime.engine import image_documents
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.errors import ClientGoneError, answer_for
from cellcrate_runtime.engine.api.image_pull import pull
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError
from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageError, ImageNotFoundError
from cellcrate_runtime.images.references import parse

__all__ = ["routes"]

_T = TypeVar("_T")
_log = logging.getLogger("cellcrate.images")
_CHUNK = 256 * 1024
_ANY_SIZE = 2**63


class Create(Handler):
    """``POST /images/create``: pull."""

    async def post(self) -> None:
        """Have the base image packed, and pull others."""
        if self.query("fromSrc"):
            raise NotServedError("importing an image (docker import)")
        if not self.query("fromImage"):
            raise BadRequestError("fromImage is missing: name the image to pull")
        name = image_documents.repository_tag(self.query("fromImage"), self.query("tag"))
        if parse(name).with_default_tag() == parse(BASE_REFERENCE):
            await send_all(self, _encoded(self._pack()))
        else:
            await pull(self, parse(name), self.query("platform"))

    async def _pack(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what ``docker pull`` prints while the base image is packed."""
        try:
            image = self.engine.images.get(BASE_REFERENCE)
        except ImageNotFoundError:
            async for message in _progress(self.engine.images.ensure_base):
                if isinstance(message, Image):
                    image = message
                elif isinstance(message, Exception):
                    yield _failure(message)
                    return
                else:
                    yield {"status": message}
            status = f"Status: Packed {BASE_REFERENCE} from the programs of this machine"
        else:
            status = f"Status: Image is up to date for {BASE_REFERENCE}"
        yield {"status": f"Digest: {image.manifest_digest}"}
        yield {"status": status}
        self.engine.events.publish("image", "pull", BASE_REFERENCE, {"name": BASE_REFERENCE})


async def _progress(
    work: Callable[[Callable[[str], None]], Image],
) -> AsyncIterator[str | Image | Exception]:
    """Do some work in a thread; yield what it says meanwhile, and last its result or failure."""
    loop = asyncio.get_running_loop()
    said: asyncio.Queue[str | Image | Exception] = asyncio.Queue()

    def say(message: str | Image | Exception) -> None:
        loop.call_soon_threadsafe(said.put_nowait, message)

    def run() -> None:
        try:
            say(work(say))
        except Exception as error:
            say(error)

    _in_own_thread(run)
    while True:
        message = await said.get()
        yield message
        if not isinstance(message, str):
            return


def _in_own_thread(work: Callable[[], _T]) -> asyncio.Future[_T]:
    """Do work that takes as long as a client likes; the pool's few threads are for short work."""
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


class Save(Handler):
    """``GET /images/get`` and ``GET /images/{name}/get``."""

    async def get(self, name: str = "") -> None:
        """Send images as one archive, while it is being written."""
        names = [name] if name else self.get_query_arguments("names")
        names = [item for given in names for item in given.split(",") if item]
        if not names:
            raise BadRequestError("no images were named. Name them: names=IMAGE")
        for reference in names:
            self.engine.images.get(reference)  # an answer of 404 must come before the first byte
        self.set_header("Content-Type", "application/x-tar")
        await self._send(lambda output: self.engine.images.save(names, output))

    async def _send(self, write: Callable[[BinaryIO], None]) -> None:
        read_end, write_end = os.pipe()
        pipe = PipeIOStream(read_end)

        def work() -> None:
            with open(write_end, "wb") as output:
                write(output)

        working = _in_own_thread(work)
        try:
            await send_all(self, _until_done(pipe, working))
        except (ImageError, OSError) as error:
            _log.error("saving images failed: %s", error)
            # The answer has begun: all that is left is to break it off, so that nobody takes half
            # an archive for a whole one.
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise ClientGoneError from error
        finally:
            pipe.close()  # a writer that nobody reads any more ends with EPIPE
            await asyncio.wait((working,))
            working.exception()


async def _until_done(pipe: PipeIOStream, working: asyncio.Future[None]) -> AsyncIterator[bytes]:
    async for chunk in _read(pipe):
        yield chunk
    await working


async def _read(pipe: PipeIOStream) -> AsyncIterator[bytes]:
    while True:
        try:
            yield await pipe.read_bytes(_CHUNK, partial=True)
        except StreamClosedError:
            return


@stream_request_body
class Load(Handler):
    """``POST /images/load``."""

    def prepare(self) -> None:
        """Begin to load what arrives: an archive never lies in memory as a whole."""
        super().prepare()
        self.request.connection.set_max_body_size(_ANY_SIZE)  # type: ignore[union-attr]
        read_end, write_end = os.pipe()
        self._pipe = PipeIOStream(write_end)
        self._loading = _in_own_thread(lambda: self._load(read_end))

    def _load(self, read_end: int) -> list[str]:
        with open(read_end, "rb") as source:
            loaded = self.engine.images.load(source)
        return [
            f"Loaded image: {item.reference}"
            if item.reference
            else f"Loaded image ID: {item.image_id}"
            for item in loaded
        ]

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the archive on."""
        # If loading has failed, the rest is read and let go, so that it can be said.
        with contextlib.suppress(StreamClosedError):
            await self._pipe.write(chunk)

    async def post(self) -> None:
        """Answer when everything has arrived and is loaded."""
        self._pipe.close()
        try:
            lines = await self._loading
        except (ImageError, OSError) as error:
            self.write_json(_failure(error))
            return
        for line in lines:
            self.write(msgspec.json.encode({"stream": f"{line}\n"}) + b"\n")
        self.finish()

    def on_connection_close(self) -> None:
        """Break loading off: the rest will not come."""
        self._pipe.close()
        self._loading.add_done_callback(lambda loading: loading.exception())
        super().on_connection_close()


async def _encoded(documents: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for document in documents:
        yield msgspec.json.encode(document) + b"\n"


def _failure(error: Exception) -> dict[str, Any]:
    """Return a failure as a document of a stream that has begun."""
    _, message = answer_for(error)
    return {"errorDetail": {"message": message}, "error": message}


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/images/create", Create, {}),
        (r"/images/get", Save, {}),
        (r"/images/load", Load, {}),
        (r"/images/(?P<name>.+)/get", Save, {}),
    ]
