"""Builds that are given up, or whose engine is killed, leave nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore
from engine.building.conftest import TOOLS, add_tools, packed
from engine.conftest import RunningEngine, eventually, make_home


@pytest.fixture
def own_engine(base_image: Path) -> Iterator[RunningEngine]:
    """An engine that a test may kill."""
    paths = make_home(base_image)
    add_tools(ImageStore(paths.images))
    engine = RunningEngine(paths)
    yield engine
    engine.close()


def begin(engine: RunningEngine, folder: Path) -> socket.socket:
    """Begin a build that does not end, and wait until its program runs."""
    (folder / "Dockerfile").write_text(
        f"FROM {TOOLS}\nRUN echo made > /layer\nRUN echo runs; sleep 1000\n"
    )
    body = packed(folder)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(engine.socket))
    connection.sendall(
        b"POST /build?t=half:1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    connection.sendall(body)
    said = b""
    while json.dumps({"stream": "runs\n"}).replace(" ", "").encode() not in said:
        piece = connection.recv(65536)
        assert piece, said
        said += piece
    return connection


def nothing_is_left(engine: RunningEngine) -> bool:
    return (
        not engine.containers()
        and not list((engine.paths.data / "builds").iterdir())
        and not list(engine.paths.containers.iterdir())
        and all("half:1" not in image.tags for image in engine.client.images.list(all=True))
    )


def test_a_client_that_hangs_up(own_engine: RunningEngine, tmp_path: Path) -> None:
    begin(own_engine, tmp_path).close()
    eventually(lambda: nothing_is_left(own_engine), "nothing is left of the build")


def test_an_engine_that_is_killed(own_engine: RunningEngine, tmp_path: Path) -> None:
    with begin(own_engine, tmp_path):
        own_engine.kill()
    own_engine.start()
    eventually(lambda: nothing_is_left(own_engine), "nothing is left of the build")


def test_an_engine_that_is_told_to_leave(own_engine: RunningEngine, tmp_path: Path) -> None:
    with begin(own_engine, tmp_path):
        own_engine.stop()
    own_engine.start()
    eventually(lambda: nothing_is_left(own_engine), "nothing is left of the build")


def test_a_context_that_breaks_off(own_engine: RunningEngine) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(own_engine.socket))
        connection.sendall(
            b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + bytes(1000)
        )
        eventually(lambda: list(own_engine.paths.data.glob("builds/*")), "it has begun")
    eventually(
        lambda: not list((own_engine.paths.data / "builds").iterdir()), "its folder is removed"
    )
