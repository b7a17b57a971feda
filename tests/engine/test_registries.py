"""Pulls and pushes by the engine's API, where the docker command shows too little."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from engine.conftest import RunningEngine, eventually
from images.handmade import Entry, digest
from images.misbehaving import Handmade, Misbehaving, breaks_after, says, stalls_after
from images.sent import random_entries

SECRET = "correct-horse"
AUTH = base64.urlsafe_b64encode(
    json.dumps({"username": "me", "password": SECRET}).encode()
).decode()


@pytest.fixture
def registry() -> Iterator[Misbehaving]:
    """A registry of the tests, with one image of two layers."""
    image = Handmade.of([Entry("a")], random_entries("b", 300_000))
    with Misbehaving(image).running() as registry:
        yield registry


@pytest.fixture
def quick(own_engine: RunningEngine) -> RunningEngine:
    """An engine that tries nothing twice."""
    (own_engine.paths.data / "daemon.json").write_text('{"max-download-attempts": 1}')
    return own_engine


def documents(body: bytes) -> list[dict[str, Any]]:
    """The documents of a stream, which is sent in chunks (RFC 9112, section 7.1)."""
    lines = [line for line in body.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"{")]
    return [json.loads(line) for line in lines]


def create(registry: Misbehaving, tag: str = "1") -> str:
    return f"/images/create?fromImage={quote(f'{registry.address}/x')}&tag={tag}"


def test_a_stream_has_docker_s_documents(engine: RunningEngine, registry: Misbehaving) -> None:
    layer = digest(registry.state.image.layers[1])[7:19]
    found = documents(engine.request("POST", create(registry)).body)
    assert found[0] == {"status": "Pulling from x", "id": "1"}
    assert {"status": "Pulling fs layer", "progressDetail": {}, "id": layer} in found
    size = len(registry.state.image.layers[1])
    [moved] = [
        one for one in found if one.get("progressDetail") == {"current": size, "total": size}
    ]
    assert (moved["status"], moved["id"]) == ("Downloading", layer)
    assert moved["progress"].startswith("[=====")
    assert found[-1]["status"].startswith("Status: Downloaded newer image for ")
    engine.client.images.remove(f"{registry.address}/x:1")


def test_without_a_tag_all_are_pulled(engine: RunningEngine, registry: Misbehaving) -> None:
    registry.then("/v2/x/tags/list", says(200, b'{"tags":["1","2"]}'))
    answer = engine.request("POST", create(registry, ""))
    assert answer.status == 200
    image = engine.client.images.get(f"{registry.address}/x:2")
    assert sorted(image.tags) == [f"{registry.address}/x:{tag}" for tag in ("1", "2")]
    engine.client.images.remove(image.id, force=True)


def test_a_failure_before_the_stream_has_a_status(
    engine: RunningEngine, registry: Misbehaving
) -> None:
    unknown = b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}'
    registry.then("manifest", says(404, unknown))
    answer = engine.request("POST", create(registry))
    assert answer.status == 404
    assert answer.message.endswith("not found: manifest unknown: manifest unknown")
    registry.then("manifest", says(403, b'{"errors":[{"code":"DENIED","message":"denied"}]}'))
    answer = engine.request("POST", create(registry))
    assert answer.status == 404
    assert "repository does not exist or may require 'docker login'" in answer.message


def test_a_failure_in_the_stream_is_its_last_document(
    quick: RunningEngine, registry: Misbehaving
) -> None:
    registry.then("blob", says(200), *[breaks_after(10)] * 2)
    found = documents(quick.request("POST", create(registry)).body)
    assert "broke" in found[-1]["error"]
    assert found[-1]["errorDetail"]["message"] == found[-1]["error"]
    assert quick.client.images.list(f"{registry.address}/x") == []


def test_who_hangs_up_ends_the_pull(own_engine: RunningEngine, registry: Misbehaving) -> None:
    registry.then("blob", says(200), *[stalls_after(100)] * 2)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(own_engine.socket))
        head = f"POST {create(registry)} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())
        eventually(lambda: len(registry.requests("GET", "/blobs/")) == 3)
    # What a pull is busy with is not pruned; the registry would keep it busy for a minute.
    folder = own_engine.paths.images / "downloads"
    assert len(os.listdir(folder)) >= 1
    eventually(lambda: own_engine.client.images.prune() and not os.listdir(folder))


def test_info_says_how_registries_are_reached(own_engine: RunningEngine) -> None:
    file = own_engine.paths.data / "daemon.json"
    file.write_text(
        '{"insecure-registries": ["a:1", "10.0.0.0/8"], "registry-mirrors": ["https://m"]}'
    )
    found = own_engine.client.info()["RegistryConfig"]
    assert found["Mirrors"] == ["https://m"]
    assert found["InsecureRegistryCIDRs"][0] == "10.0.0.0/8"
    assert found["IndexConfigs"]["a:1"]["Secure"] is False
    assert found["IndexConfigs"]["docker.io"]["Secure"] is True
    file.write_text("none")
    assert own_engine.client.info()["RegistryConfig"]["Mirrors"] == []


def test_no_secret_is_told_or_logged(quick: RunningEngine, registry: Misbehaving) -> None:
    realm = f'Bearer realm="http://{registry.address}/token?signature=hidden",service="x"'
    for path in (create(registry), f"/images/{quote(quick.image)}/push"):
        registry.then("manifest", says(401, b"", WWW_Authenticate=realm))
        registry.then("/token", says(500, b"correct-horse"))
        said = _with_auth(quick, path)
        assert SECRET.encode() not in said
        assert b"hidden" not in said
    said = _with_auth(quick, "/auth")
    assert SECRET not in quick.log
    assert "hidden" not in quick.log


def _with_auth(engine: RunningEngine, path: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(engine.socket))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Registry-Auth: {AUTH}\r\n"
        )
        connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
        said = b""
        while piece := connection.recv(65536):
            said += piece
    return said


@pytest.mark.parametrize(
    "path", ["/images/create?fromImage=127.0.0.1:1/x&tag=1", "/distribution/x/json"]
)
def test_a_header_that_cannot_be_read_is_not_repeated(engine: RunningEngine, path: str) -> None:
    bad = base64.b64encode(b'{"password": "correct-horse').decode()
    method = "POST" if "create" in path else "GET"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(engine.socket))
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        connection.sendall(f"{head}X-Registry-Auth: {bad}\r\nContent-Length: 0\r\n\r\n".encode())
        said = connection.recv(65536)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"correct-horse" not in said


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"secret", 400, "no AuthConfig"),
        (b'{"serveraddress": "word"}', 400, "no address of a registry"),
        (b'{"serveraddress": "127.0.0.1:1"}', 500, "cannot be reached"),
    ],
)
def test_auth_that_cannot_be(engine: RunningEngine, body: bytes, status: int, message: str) -> None:
    answer = engine.request("POST", "/auth", body)
    assert answer.status == status
    assert message in answer.message
    assert b"secret" not in answer.body


def test_an_engine_begins_without_the_client_of_http() -> None:
    code = (
        "import sys; from importlib import import_module;"
        "import cellcrate_runtime.engine.api.app as a;"
        "[import_module(f'cellcrate_runtime.engine.api.{name}') for name in a._MODULES];"
        "print('urllib3' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
