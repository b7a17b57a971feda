"""Answers to requests about execs, logs, events, statistics and files that the docker command
would not send, or shows in its own words."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import tarfile
import time
from typing import Any

import pytest


@pytest.fixture
def box(engine: Any) -> Any:
    return engine.run(["sleep", "1000"], name="box", init=True)


def stream(engine: Any, path: str) -> socket.socket:
    """Begin a request whose answer goes on, and read the head of the answer."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(engine.socket))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 200"), head
    return connection


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/containers/none/exec", '{"Cmd": ["true"]}', 404, "No such container: none"),
        ("POST", "/containers/box/exec", "{}", 400, "No exec command specified"),
        ("POST", "/containers/box/exec", "bananas", 400, "invalid JSON"),
        ("POST", "/containers/box/exec", '{"Cmd": ["a"], "Env": ["=b"]}', 400, "environment"),
        ("POST", "/containers/box/exec", '{"Cmd": ["a"], "DetachKeys": "ctrl-?"}', 400, "ctrl-?"),
        ("POST", "/exec/none/start", "{}", 404, "No such exec instance: none"),
        ("GET", "/exec/none/json", "", 404, "No such exec instance: none"),
        ("POST", "/exec/none/resize?w=1&h=1", "", 404, "No such exec instance: none"),
        ("GET", "/containers/box/logs", "", 400, "you must choose at least one stream"),
        ("GET", "/containers/box/logs?stdout=1&tail=x", "", 400, "tail='x'"),
        ("GET", "/containers/box/logs?stdout=1&since=bananas", "", 400, "is not a time"),
        ("GET", "/containers/none/logs?stdout=1", "", 404, "No such container: none"),
        ("GET", "/containers/box/stats?stream=1&one-shot=1", "", 400, "cannot have stream=true"),
        ("GET", "/containers/box/top?ps_args=-o%20pid%3Dx", "", 400, "another name"),
        ("GET", "/events?since=20&until=10", "", 400, "cannot be after"),
        ("GET", "/events?since=bananas", "", 400, "is not a time"),
        ("GET", "/events?filters=bananas", "", 400, "invalid filter"),
        ("GET", '/events?filters={"colour":["red"]}', "", 400, "invalid filter 'colour'"),
        ("GET", "/containers/box/archive", "", 400, '"path" cannot be empty'),
        ("PUT", "/containers/box/archive", "", 400, '"path" cannot be empty'),
        ("GET", "/containers/box/archive?path=/no", "", 404, "Could not find the file /no"),
        ("PUT", "/containers/none/archive?path=/", "", 404, "No such container: none"),
        ("POST", '/containers/prune?filters={"until":["x"]}', "", 400, "is not a time"),
        ("GET", "/system/df?type=bananas", "", 400, "unknown object type: bananas"),
    ],
)
def test_bad_requests(
    engine: Any, box: Any, method: str, path: str, body: str, status: int, message: str
) -> None:
    answer = engine.request(method, path, body.encode())
    assert (answer.status, message in answer.message) == (status, True), answer.message


def test_an_exec_is_started_once(engine: Any, box: Any) -> None:
    api = engine.client.api
    item = api.exec_create(box.id, ["sleep", "1000"])["Id"]
    document = api.exec_inspect(item)
    assert (document["Running"], document["ExitCode"], document["Pid"]) == (False, None, 0)
    api.exec_start(item, detach=True)
    document = api.exec_inspect(item)
    assert (document["Running"], document["ExitCode"]) == (True, None)
    assert document["Pid"] > 0
    assert document["ProcessConfig"]["entrypoint"] == "sleep"
    again = engine.request("POST", f"/exec/{item}/start", b'{"Detach": true}')
    assert again.status == 409
    assert "already running" in again.message
    size = engine.request("POST", f"/exec/{item}/resize?w=80&h=24")
    assert size.status == 409
    assert engine.request("POST", f"/exec/{item}/resize?w=-1&h=a").status == 400


def test_an_exec_of_a_container_that_ended_meanwhile_is_not_started(engine: Any, box: Any) -> None:
    item = engine.client.api.exec_create(box.id, ["true"])["Id"]
    box.kill()
    answer = engine.request("POST", f"/exec/{item}/start", b"{}")
    assert answer.status == 409
    assert "is not running" in answer.message


def test_without_an_upgrade_the_connection_is_taken_over_all_the_same(
    engine: Any, box: Any
) -> None:
    item = engine.client.api.exec_create(box.id, ["echo", "hello"])["Id"]
    answer = engine.request("POST", f"/exec/{item}/start", b"{}")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.docker.raw-stream"
    assert answer.body == b"\x01\0\0\0\0\0\0\x06hello\n"


def test_many_execs_at_once(engine: Any, box: Any) -> None:
    api = engine.client.api
    items = [api.exec_create(box.id, ["sh", "-c", f"exit {n}"])["Id"] for n in range(30)]
    for item in items:
        api.exec_start(item, detach=True)
    deadline = time.monotonic() + 30
    while any(api.exec_inspect(item)["Running"] for item in items):
        assert time.monotonic() < deadline
    assert [api.exec_inspect(item)["ExitCode"] for item in items] == list(range(30))


def test_streams_end_when_their_client_leaves(engine: Any, box: Any) -> None:
    """An engine whose clients hang up keeps nothing open for them."""
    paths = [
        "/events",
        "/containers/box/logs?stdout=1&follow=1",
        "/containers/box/stats",
        "/events",
        "/containers/box/logs?stdout=1&follow=1",
    ]
    before = settled_descriptors(engine)
    with contextlib.ExitStack() as connections:
        for path in paths:
            connections.enter_context(stream(engine, path))
        assert descriptors(engine) >= before + len(paths)
    deadline = time.monotonic() + 30
    while descriptors(engine) > before:
        assert time.monotonic() < deadline, "descriptors stay open"
        time.sleep(0.05)
    assert "ERROR" not in engine.log


def settled_descriptors(engine: Any) -> int:
    """How many it has when what it did last is done, such as getting a container to the disk."""
    count = descriptors(engine)
    while True:
        time.sleep(0.3)
        before, count = count, descriptors(engine)
        if count == before:
            return count


def descriptors(engine: Any) -> int:
    import os

    return len(os.listdir(f"/proc/{engine.pid}/fd"))


def test_an_event_is_sent_at_once(engine: Any, box: Any) -> None:
    connection = stream(engine, "/events?filters=" + '{"event":["rename"]}')
    with connection, connection.makefile("rb") as lines:
        box.rename("renamed")
        size = int(lines.readline(), 16)
        event = json.loads(lines.read(size))
        assert event["Action"] == "rename"
        assert event["Actor"]["Attributes"]["name"] == "renamed"
        assert event["Actor"]["Attributes"]["oldName"] == "/box"


def test_one_sample_with_and_without_one_before_it(engine: Any, box: Any) -> None:
    two = box.stats(stream=False)
    assert two["preread"] < two["read"]
    assert two["precpu_stats"]["system_cpu_usage"] < two["cpu_stats"]["system_cpu_usage"]
    one = box.stats(stream=False, one_shot=True)
    assert one["preread"].startswith("0001")
    assert one["memory_stats"]["usage"] > 0
    box.kill()
    assert box.stats(stream=False)["memory_stats"] == {}


def test_a_stream_of_samples_ends_with_its_container(engine: Any, box: Any) -> None:
    samples = box.stats(decode=True)
    assert next(samples)["memory_stats"]["usage"] > 0
    box.remove(force=True)
    rest = list(samples)
    assert all(sample["id"] == box.id for sample in rest)


def test_an_archive_that_is_none_changes_nothing(engine: Any, box: Any) -> None:
    answer = engine.request(
        "PUT", "/containers/box/archive?path=/tmp", b"bananas" * 1000, "application/x-tar"
    )
    assert answer.status == 400
    assert not engine.client.api.diff(box.id)


def test_an_archive_does_not_leave_the_container(engine: Any, box: Any, tmp_path: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in (f"../../../..{tmp_path}/planted", f"{tmp_path}/planted"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    path = "/containers/box/archive?path=/tmp"
    engine.request("PUT", path, buffer.getvalue(), "application/x-tar")
    assert not (tmp_path / "planted").exists()


def test_an_upload_that_is_broken_off_leaves_no_worker(engine: Any, box: Any) -> None:
    before = descriptors(engine)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        connection.sendall(
            b"PUT /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: docker\r\n"
            b"Content-Length: 1000000\r\n\r\n" + bytes(100_000)
        )
    deadline = time.monotonic() + 30
    while descriptors(engine) > before:
        assert time.monotonic() < deadline, "descriptors stay open"
        time.sleep(0.05)


def test_ping_tells_the_versions(engine: Any) -> None:
    for method, body in (("GET", b"OK"), ("HEAD", b"")):
        answer = engine.request(method, "/_ping")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers["api-version"] == "1.47"
        assert answer.headers["ostype"] == "linux"
        assert answer.headers["docker-experimental"] == "false"
