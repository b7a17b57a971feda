"""Execs and health checks go on when the engine is killed, and the next one knows of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.02)


class Attached:
    """An exec that says `up`, waits for a line, says `ending`, and exits as the line says."""

    def __init__(self, engine: Any) -> None:
        api = engine.client.api
        container = engine.run(["sleep", "1000"], name="box")
        command = ["sh", "-c", "echo up; read status; echo ending; exit $status"]
        self.id = api.exec_create(container.id, command, stdin=True)["Id"]
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(30)
        self._connection.connect(str(engine.socket))
        self._stream = self._connection.makefile("rb")
        body = b'{"Detach": false, "Tty": false}'
        self._connection.sendall(
            f"POST /v1.47/exec/{self.id}/start HTTP/1.1\r\nHost: docker\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        self.head = b"".join(iter(self._stream.readline, b"\r\n")).decode()

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._connection.close()

    def says(self) -> bytes:
        """Return what it writes next; nothing at its end."""
        head = self._stream.read(8)
        return self._stream.read(int.from_bytes(head[4:], "big")) if head else b""

    def tell(self, line: bytes) -> None:
        """Give it input."""
        self._connection.sendall(line)


@pytest.mark.parametrize("ends", ["before the next engine", "after the next engine"])
def test_an_attached_exec_outlives_the_engine(own_engine: Any, ends: str) -> None:
    with Attached(own_engine) as attached:
        assert attached.head.startswith("HTTP/1.1 101 UPGRADED\r\n")
        assert "Content-Type: application/vnd.docker.multiplexed-stream\r\n" in attached.head
        assert attached.says() == b"up\n"
        own_engine.kill()
        if ends == "after the next engine":
            own_engine.start()
            assert own_engine.client.api.exec_inspect(attached.id)["Running"] is True
        attached.tell(b"42\n")
        assert attached.says() == b"ending\n"
        assert attached.says() == b""
        if ends == "before the next engine":
            own_engine.start()
        assert own_engine.client.api.exec_inspect(attached.id)["ExitCode"] == 42


def test_execs_of_an_earlier_run_are_forgotten(own_engine: Any) -> None:
    container = own_engine.run(["sleep", "1000"], name="box")
    item = own_engine.client.api.exec_create(container.id, ["sleep", "1000"])
    own_engine.client.api.exec_start(item, detach=True)
    container.kill()
    container.start()
    own_engine.kill()
    own_engine.start()
    answer = own_engine.request("GET", f"/exec/{item['Id']}/json")
    assert answer.status == 404
    assert answer.message == f"No such exec instance: {item['Id']}"


def health(engine: Any) -> Any:
    return engine.client.api.inspect_container("patient")["State"]["Health"]


def test_health_is_what_it_was(own_engine: Any) -> None:
    check = {"test": ["CMD-SHELL", "false"], "interval": 100_000_000, "retries": 2}
    own_engine.run(["sleep", "1000"], name="patient", healthcheck=check)
    until(lambda: health(own_engine)["Status"] == "unhealthy")
    own_engine.kill()
    own_engine.start()
    known = health(own_engine)
    assert known["Status"] == "unhealthy"
    assert known["FailingStreak"] >= 2
    until(lambda: health(own_engine)["FailingStreak"] > known["FailingStreak"])
    own_engine.client.containers.get("patient").restart(timeout=0)
    assert health(own_engine)["Status"] == "starting"
    assert health(own_engine)["Log"] == []
