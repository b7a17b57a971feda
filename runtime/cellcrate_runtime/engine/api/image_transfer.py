"""Images that come and go: pull, import, save and load."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, BinaryIO

import msgspec
from tornado.iostream import PipeIOStream, StreamClosedError
from tornado.web import stream_request_body

from cellcrate_runtime.engine import image_documents
from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.api.errors import ClientGoneError, answer_for
from cellcrate_runtime.engine.api.image_pull import pull
from cellcrate_runtime.engine.api.streams import send_all
from cellcrate_runtime.engine.errors import BadRequestError, EngineError
from cellcrate_runtime.engine.importing import begin_import
from cellcrate_runtime.engine.own_threads import Fed, in_own_thread
from cellcrate_runtime.images import BASE_REFERENCE, Image, ImageError, ImageNotFoundError
from cellcrate_runtime.images.references import parse

__all__ = ["routes"]

_log = logging.getLogger("cellcrate.images")
_CHUNK = 256 * 1024
_ANY_SIZE = 2**63


@stream_request_body
class Create(Handler):
    """``POST /images/create``: pull, or import an archive that comes as the body."""

    _importing: Fed[Image] | None = None
    _refusal: Exception | None = None

    def prepare(self) -> None:
        """Begin to import what arrives: an archive never lies in memory as a whole."""
        super().prepare()
        if self.query("fromSrc"):
            self.request.connection.set_max_body_size(_ANY_SIZE)  # type: ignore[union-attr]
            try:
                self._importing = self._begin_import(self.query("fromSrc"))
            except (EngineError, ImageError) as error:
                # Said when all has been read: a client that still sends would not hear it.
                self._refusal = error

    def _begin_import(self, source: str) -> Fed[Image]:
        return begin_import(
            self.engine,
            source,
            image_documents.named(self.query("repo"), self.query("tag")),
            changes=self.get_query_arguments("changes"),
            message=self.query("message"),
            platform=self.query("platform"),
        )

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the archive on; with a pull nothing comes."""
        if self._importing is not None:
            await self._importing.write(chunk)

    def on_connection_close(self) -> None:
        """Break an import off: the rest will not come."""
        if self._importing is not None:
            self._importing.give_up()
        super().on_connection_close()

    async def post(self) -> None:
        """Have the base image packed, pull others; or end an import."""
        if self._refusal is not None:
            raise self._refusal
        if self._importing is not None:
            await self._import(self._importing)
            return
        if not self.query("fromImage"):
            raise BadRequestError("fromImage is missing: name the image to pull")
        name = image_documents.repository_tag(self.query("fromImage"), self.query("tag"))
        if parse(name).with_default_tag() == parse(BASE_REFERENCE):
            await send_all(self, _encoded(self._pack()))
        else:
            await pull(self, parse(name), self.query("platform"))

    async def _import(self, importing: Fed[Image]) -> None:
        importing.end()
        image = await importing.done
        self.engine.events.publish("image", "import", image.id, {"name": image.id})
        if self.query("repo"):
            self.engine.events.publish("image", "tag", image.id, {"name": image.repo_tags[0]})
        self.write_json({"status": image.id})

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

    in_own_thread(run)
    while True:
        message = await said.get()
        yield message
        if not isinstance(message, str):
            return


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

        working = in_own_thread(work)
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
        self._loading = Fed(self._load)

    def _load(self, source: BinaryIO) -> list[str]:
        return [
            f"Loaded image: {item.reference}"
            if item.reference
            else f"Loaded image ID: {item.image_id}"
            for item in self.engine.images.load(source)
        ]

    async def data_received(self, chunk: bytes) -> None:
        """Hand a piece of the archive on."""
        await self._loading.write(chunk)

    async def post(self) -> None:
        """Answer when everything has arrived and is loaded."""
        self._loading.end()
        try:
            lines = await self._loading.done
        except (ImageError, OSError) as error:
            self.write_json(_failure(error))
            return
        for line in lines:
            self.write(msgspec.json.encode({"stream": f"{line}\n"}) + b"\n")
        self.finish()

    def on_connection_close(self) -> None:
        """Break loading off: the rest will not come."""
        self._loading.give_up()
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
