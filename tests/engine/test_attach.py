"""Attach: before the start and while it runs, raw and multiplexed, with input and without."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest

from .conftest import PATIENCE, RunningEngine, eventually

ALL = "stream=1&stdin=1&stdout=1&stderr=1"


class Attached:
    """A connection that became a container's streams."""

    def __init__(
        self, engine: RunningEngine, container: Any, query: str = ALL, early: bytes = b""
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(engine.socket))
        request = (
            f"POST /v1.47/containers/{container.id}/attach?{query} HTTP/1.1\r\nHost: x\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
        )
        self.socket.sendall(request.encode() + early)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        self.head = head.decode()

    def frame(self) -> tuple[int, bytes]:
        """Read one frame of a multiplexed stream; nothing at its end."""
        header = self.read(8)
        if not header:
            return 0, b""
        kind, size = struct.unpack(">BxxxI", header)
        return kind, self.read(size)

    def frames(self) -> dict[int, bytes]:
        """Read a multiplexed stream to its end."""
        found: dict[int, bytes] = {}
        while (piece := self.frame())[1]:
            found[piece[0]] = found.get(piece[0], b"") + piece[1]
        return found

    def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (piece := self.socket.recv(size - len(data))):
            data += piece
        return data

    def rest(self) -> bytes:
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data


@pytest.fixture
def attach(engine: RunningEngine) -> Any:
    opened: list[Attached] = []

    def attach_to(container: Any, query: str = ALL, early: bytes = b"") -> Attached:
        opened.append(Attached(engine, container, query, early))
        return opened[-1]

    yield attach_to
    for connection in opened:
        connection.socket.close()


def create(engine: RunningEngine, command: Any, **options: Any) -> Any:
    return engine.client.containers.create(engine.image, command, **options)


def test_attached_before_the_start_misses_nothing(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sh", "-c", "echo out; echo err >&2"])
    connection = attach(container)
    assert connection.head.startswith("HTTP/1.1 101 UPGRADED")
    assert "Content-Type: application/vnd.docker.multiplexed-stream" in connection.head
    container.start()
    assert connection.frames() == {1: b"out\n", 2: b"err\n"}


def test_attached_while_it_runs(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["cat"], stdin_open=True)
    container.start()
    connection = attach(container)
    connection.socket.sendall(b"hello\n")
    assert connection.frame() == (1, b"hello\n")


def test_input_sent_before_the_answer_is_not_lost(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["head", "-n", "2"], stdin_open=True)
    connection = attach(container, early=b"one\n")
    connection.socket.sendall(b"two\n")
    container.start()
    assert connection.frames() == {1: b"one\ntwo\n"}


def test_the_end_of_input_is_passed_on(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["wc", "-c"], stdin_open=True)
    api = engine.client.api
    config = api.create_container_config(engine.image, ["wc", "-c"], stdin_open=True)
    config["StdinOnce"] = True
    container = engine.client.containers.get(api.create_container_from_config(config)["Id"])
    connection = attach(container)
    container.start()
    connection.socket.sendall(b"12345")
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.frames()[1].strip() == b"5"


def test_a_terminal_is_one_raw_stream(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sh", "-c", "tty; stty size"], tty=True)
    connection = attach(container)
    assert "application/vnd.docker.raw-stream" in connection.head
    container.start()
    output = connection.rest()
    assert output.startswith(b"/dev/pts/0\r\n"), output


def test_only_the_streams_asked_for(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sh", "-c", "echo out; echo err >&2"])
    connection = attach(container, "stream=1&stderr=1")
    container.start()
    assert connection.frames() == {2: b"err\n"}


def test_what_was_written_before_can_be_had_too(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sh", "-c", "echo early; read line; echo late"], stdin_open=True)
    container.start()
    eventually(lambda: container.logs() == b"early\n")
    connection = attach(container, f"{ALL}&logs=1")
    connection.socket.sendall(b"\n")
    assert connection.frames() == {1: b"early\nlate\n"}


def test_the_log_alone(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["echo", "done"])
    container.start()
    container.wait()
    assert attach(container, "logs=1&stdout=1").frames() == {1: b"done\n"}


def test_several_clients_see_the_same(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["echo", "for all"])
    connections = [attach(container) for _ in range(5)]
    container.start()
    assert [c.frames() for c in connections] == [{1: b"for all\n"}] * 5


def test_a_client_that_hangs_up_harms_nobody(engine: RunningEngine, attach: Any) -> None:
    api = engine.client.api
    config = api.create_container_config(
        engine.image, ["sh", "-c", "read line; echo $line"], stdin_open=True
    )
    config["StdinOnce"] = False
    container = engine.client.containers.get(api.create_container_from_config(config)["Id"])
    first, second = attach(container), attach(container)
    first.socket.close()
    container.start()
    second.socket.sendall(b"still there\n")
    assert second.frames() == {1: b"still there\n"}


def test_an_attached_session_outlives_the_engine(own_engine: RunningEngine) -> None:
    container = create(own_engine, ["cat"], stdin_open=True)
    connection = Attached(own_engine, container)
    try:
        container.start()
        own_engine.kill()
        connection.socket.sendall(b"nobody home?\n")
        assert connection.frame() == (1, b"nobody home?\n")
    finally:
        connection.socket.close()


def test_removal_hangs_up_on_those_who_wait_for_a_start(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["true"])
    connection = attach(container)
    container.remove()
    assert connection.rest() == b""


@pytest.mark.usefixtures("limits")
def test_attach_to_what_is_paused_is_refused(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sleep", "1000"])
    container.start()
    container.pause()
    assert "409 Conflict" in attach(container).head


def test_resize(engine: RunningEngine, attach: Any) -> None:
    container = create(engine, ["sh", "-c", "read line; stty size"], tty=True, stdin_open=True)
    answer = engine.request("POST", f"/containers/{container.id}/resize?h=10&w=20")
    assert (answer.status, "is not running" in answer.message) == (409, True)
    container.start()
    container.resize(height=10, width=20)
    connection = attach(container)
    connection.socket.sendall(b"\n")
    assert b"10 20" in connection.rest()


@pytest.mark.parametrize("query", ["", "h=1", "h=-1&w=5", "h=5&w=70000", "h=x&w=y"])
def test_a_size_that_makes_no_sense(engine: RunningEngine, query: str) -> None:
    container = create(engine, ["sleep", "1000"], tty=True)
    container.start()
    answer = engine.request("POST", f"/containers/{container.id}/resize?{query}")
    assert answer.status == 400
