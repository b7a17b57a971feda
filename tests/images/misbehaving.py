"""A registry of the tests that does as it is told, also what no registry should."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from images.handmade import Entry, digest, make_archive
from images.registries import Certificates
from images.sent import OCI

__all__ = ["Answer", "Handmade", "Misbehaving", "breaks_after", "says", "stalls_after"]

PATIENCE = 20.0  # seconds

Answer = Callable[["Request", bytes], None]
"""Answers one request, in place of the honest answer, which it is given the body of."""


@dataclass
class Handmade:
    """An image in memory."""

    layers: list[bytes]
    config: bytes
    manifest: bytes

    @classmethod
    def of(cls, *layers: Sequence[Entry], diff_ids: list[str] | None = None) -> Handmade:
        archives = [make_archive(layer) for layer in layers]
        packed = [gzip.compress(archive, 1, mtime=0) for archive in archives]
        return cls.packed(packed, diff_ids or [digest(archive) for archive in archives])

    @classmethod
    def packed(cls, packed: list[bytes], diff_ids: list[str]) -> Handmade:
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI.manifest,
                "config": _descriptor(OCI.config, config),
                "layers": [_descriptor(OCI.layer, layer) for layer in packed],
            }
        ).encode()
        return cls(packed, config, manifest)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


@dataclass
class Noted:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class _State:
    image: Handmade
    blobs: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    requests: list[Noted] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    sent: int = 0
    answers: dict[str, deque[Answer]] = field(default_factory=lambda: defaultdict(deque))


class Request(BaseHTTPRequestHandler):
    """One request; the server's ``state`` says what to do."""

    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def state(self) -> _State:
        return self.server.state

    def do_GET(self) -> None:
        self._note()
        path = urlsplit(self.path).path
        if path == "/v2/":
            self._special("/v2/", b"{}") or self.reply(200, b"{}")
        elif "/manifests/" in path:
            content = self.state.manifests.get(path.rpartition("/")[2], self.state.image.manifest)
            self._special("manifest", content) or self.reply(
                200, content, {"Content-Type": OCI.manifest}
            )
        elif "/uploads/" in path:
            arrived = len(self.state.uploads.get(path, b""))
            if path not in self.state.uploads:
                self.reply(404)
            else:
                self.reply(204, b"", {"Range": f"0-{max(0, arrived - 1)}", "Location": path})
        elif "/blobs/" in path:
            self._blob(path.rpartition("/")[2])
        else:
            self._special(path, b"") or self.reply(404)

    def do_HEAD(self) -> None:
        self._note()
        there = urlsplit(self.path).path.rpartition("/")[2] in self.state.blobs
        self.reply(200 if there else 404, body=False)

    def do_POST(self) -> None:
        self._note()
        self._body()
        path = f"{urlsplit(self.path).path}{len(self.state.uploads)}"
        if not self._special("POST", path.encode()):
            self.state.uploads[path] = bytearray()
            self.reply(202, b"", {"Location": path})

    def do_PATCH(self) -> None:
        self._note()
        path = urlsplit(self.path).path
        if self._special("PATCH", b""):
            return
        if path not in self.state.uploads:
            self._body()
            self.reply(404)
            return
        start = int(self.headers["Content-Range"].partition("-")[0])
        body = self._body()
        if start != len(self.state.uploads[path]):
            self.reply(416)
            return
        self.state.uploads[path] += body
        self.reply(202, b"", {"Location": path})

    def do_PUT(self) -> None:
        self._note()
        parts = urlsplit(self.path)
        body = self._body()
        if "/manifests/" in parts.path:
            self.state.manifests[parts.path.rpartition("/")[2]] = body
            self.reply(201)
            return
        content = bytes(self.state.uploads.pop(parts.path, b"")) + body
        wanted = parse_qs(parts.query)["digest"][0]
        if digest(content) == wanted:
            self.state.blobs[wanted] = content
        self.reply(201 if digest(content) == wanted else 400)

    def do_DELETE(self) -> None:
        self._note()
        self.reply(202)

    def _blob(self, wanted: str) -> None:
        content = self.state.blobs[wanted]
        if self._special("blob", content):
            return
        start = self.headers.get("Range", "")
        if start and self._special("range", content):
            return
        if not start:
            self.reply(200, content)
            return
        offset = int(start.removeprefix("bytes=").removesuffix("-"))
        end = len(content) - 1
        self.reply(206, content[offset:], {"Content-Range": f"bytes {offset}-{end}/{len(content)}"})

    def _special(self, kind: str, content: bytes) -> bool:
        answers = self.state.answers[kind]
        if not answers:
            return False
        answers.popleft()(self, content)
        return True

    def _note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.state.requests.append(Noted(self.command, self.path, headers))

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.state.requests[-1].body = body
        return body

    def reply(
        self,
        status: int,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        length: int | None = None,
        body: bool = True,
    ) -> None:
        """Answer, perhaps with another length than the content has; -1 for none."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        announced = len(content) if length is None else length
        if status == 204:
            pass  # which has no content, so the connection can go on
        elif announced >= 0:
            self.send_header("Content-Length", str(announced))
        else:
            self.close_connection = True
        self.end_headers()
        if body and content:
            self.wfile.write(content)
            if "/blobs/" in self.path:
                self.state.sent += len(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: the tests look at what was noted."""


class _Server(ThreadingHTTPServer):
    """Ends with all its threads, whoever keeps connections to it open."""

    daemon_threads = False
    state: _State
    ending: threading.Event

    def process_request(self, request: Any, client_address: Any) -> None:
        self.state.connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Let every thread come to its end."""
        self.ending.set()
        for connection in self.state.connections:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up: that is what some tests have them do."""


class Misbehaving:
    """The registry; it has one image, under every name."""

    def __init__(self, image: Handmade, certificates: Certificates | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), Request)
        self._server.state = self.state = _State(image)
        self._server.ending = threading.Event()
        for content in (*image.layers, image.config):
            self.state.blobs[digest(content)] = content
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def then(self, kind: str, *answers: Answer) -> None:
        """Answer the next requests of a kind so, and those after them honestly."""
        self.state.answers[kind].extend(answers)

    def requests(self, method: str, part: str = "") -> list[Noted]:
        return [r for r in self.state.requests if r.method == method and part in r.path]

    @contextmanager
    def running(self) -> Iterator[Misbehaving]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up()
            self._server.server_close()


def says(
    status: int,
    content: bytes | None = None,
    *,
    length: int | None = None,
    **headers: str,
) -> Answer:
    """Answer with a status and other content."""

    def answer(request: Request, honest: bytes) -> None:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        body = honest if content is None else content
        request.reply(status, body, given, length=length)

    return answer


def breaks_after(size: int) -> Answer:
    """Announce everything, send some bytes, and break the connection."""

    def answer(request: Request, honest: bytes) -> None:
        request.reply(200, honest[:size], length=len(honest))
        request.wfile.flush()
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)

    return answer


def stalls_after(size: int) -> Answer:
    """Announce everything, send some bytes, and then nothing, until the test ends."""

    def answer(request: Request, honest: bytes) -> None:
        request.reply(200, honest[:size], length=len(honest))
        request.wfile.flush()
        request.server.ending.wait(PATIENCE)
        request.close_connection = True

    return answer
