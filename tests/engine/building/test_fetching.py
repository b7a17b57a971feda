"""ADD of an address, from a server on loopback."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

from engine.building.conftest import TOOLS, Built
from engine.conftest import RunningEngine

Build = Callable[..., Built]
CONTENT = b"from afar\n"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file.txt")
            self.end_headers()
            return
        found = self.path.split("?")[0] in ("/file.txt", "/")
        self.send_response(200 if found else 404)
        self.send_header("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that has one file."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_address[1]}"
        finally:
            found.shutdown()
            thread.join()


def test_a_file_is_fetched(engine: RunningEngine, build: Build, server: str) -> None:
    built = build(
        f"FROM {TOOLS}\nADD --checksum={DIGEST} {server}/file.txt /into/\n"
        f"ADD --chmod=755 {server}/moved /named\n"
    )
    assert not built.error
    show = "cat /into/file.txt; stat -c '%a %Y' /into/file.txt /named"
    said = engine.client.containers.run(built.image_id, ["sh", "-c", show], remove=True).decode()
    assert said == "from afar\n600 1577836800\n755 1577836800\n"


def test_the_same_file_again_is_a_step_that_is_done(build: Build, server: str) -> None:
    text = f"FROM {TOOLS}\nADD {server}/file.txt?again /x\n"
    build(text)
    assert build(text).cached == 1


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("ADD {0}/none /x", "answered 404"),
        ("ADD {0}/ /folder/", "cannot determine filename from url"),
        (f"ADD --checksum=sha256:{'0' * 64} {{0}}/file.txt /x", f"digest mismatch {DIGEST}"),
        ("ADD --checksum=md5:0 {0}/file.txt /x", "invalid checksum md5:0"),
        (f"ADD --checksum={DIGEST} Dockerfile /x", "checksum is only supported for one address"),
    ],
)
def test_what_cannot_be_fetched(build: Build, server: str, instruction: str, message: str) -> None:
    built = build(f"FROM {TOOLS}\n{instruction.format(server)}\n")
    assert message in built.error
