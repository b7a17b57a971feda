"""Where a registry is, and when it may do without TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.images.references import parse
from cellcrate_runtime.images.registry import endpoints as module
from cellcrate_runtime.images.registry.connection import connect
from cellcrate_runtime.images.registry.credentials import ANONYMOUS, Credential
from cellcrate_runtime.images.registry.endpoints import endpoints, is_loopback
from cellcrate_runtime.images.registry.errors import (
    NotInRegistryError,
    RegistryError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.pull import pull
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.images.registry.transport import Transport
from images.handmade import Entry, digest
from images.misbehaving import Handmade, Misbehaving, breaks_after, says

pytestmark = pytest.mark.once

PLAIN = RegistrySettings()


def urls(domain: str, settings: RegistrySettings = PLAIN, *, mirrors: bool = True) -> list[str]:
    return [endpoint.url for endpoint in endpoints(domain, settings, mirrors=mirrors)]


def test_docker_hub_is_elsewhere() -> None:
    assert urls("docker.io") == ["https://registry-1.docker.io"]
    mirrored = RegistrySettings(mirrors=("https://m.example/path/",))
    assert urls("docker.io", mirrored)[0] == "https://m.example/path"
    assert urls("docker.io", mirrored, mirrors=False) == ["https://registry-1.docker.io"]
    assert urls("ghcr.io", mirrored) == ["https://ghcr.io"]


@pytest.mark.parametrize(
    ("domain", "plain"),
    [
        ("localhost:5000", True),
        ("localhost", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("10.1.2.3:5000", True),
        ("named.example:5000", True),
        ("named.example", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("11.1.2.3", False),
        ("[::2]:5000", False),
        ("ghcr.io", False),
    ],
)
def test_who_may_do_without_tls(domain: str, plain: bool) -> None:
    settings = RegistrySettings(insecure=("10.0.0.0/8", "named.example:5000", "odd/word"))
    expected = [f"https://{domain}"] + ([f"http://{domain}"] if plain else [])
    assert urls(domain, settings) == expected


def test_nothing_but_this_machine_is_loopback() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("")
    assert not is_loopback("localhost@example.com:80")


@pytest.mark.parametrize("url", ["http://m.example", "m.example", "file:///x", "https://a:b@c"])
def test_mirrors_that_are_none(url: str) -> None:
    with pytest.raises(RegistryError):
        urls("docker.io", RegistrySettings(mirrors=(url,)))


def test_settings_are_docker_s(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    assert RegistrySettings.read(file).downloads == 3
    file.write_text(
        '{"insecure-registries": ["a:1"], "registry-mirrors": ["https://m"], "runtimes": {},'
        '"max-concurrent-downloads": 1, "max-concurrent-uploads": 2, "max-download-attempts": 7}'
    )
    read = RegistrySettings.read(file)
    assert (read.insecure, read.mirrors) == (("a:1",), ("https://m",))
    assert (read.downloads, read.uploads, read.attempts) == (1, 2, 7)
    assert read.certificates[-1] == tmp_path / "certs.d"
    file.write_text('{"insecure-registries": "a"}')
    with pytest.raises(RegistryError, match="cannot be understood"):
        RegistrySettings.read(file)


def test_somebody_who_is_no_registry(settings: RegistrySettings) -> None:
    with Misbehaving(Handmade.of()).running() as other:
        other.then("/v2/", says(404, b""))
        with pytest.raises(RegistryUnreachableError, match="is no registry: it answers 404"):
            connect(other.address, Transport(settings), ANONYMOUS)


class TestMirrors:
    """Docker Hub, for these tests, is a registry of this machine."""

    @pytest.fixture
    def image(self) -> Handmade:
        return Handmade.of([Entry("a", bytes(9))])

    @pytest.fixture
    def hub(self, image: Handmade, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
        with Misbehaving(image).running() as hub:
            monkeypatch.setattr(module, "_DOCKER_HUB_REGISTRY", hub.address)
            yield hub

    @pytest.fixture
    def mirror(self, image: Handmade) -> Iterator[Misbehaving]:
        with Misbehaving(image).running() as mirror:
            yield mirror

    @pytest.fixture
    def mirrored(self, settings: RegistrySettings, mirror: Misbehaving) -> RegistrySettings:
        return replace(settings, mirrors=(f"http://{mirror.address}",))

    def test_a_mirror_is_asked_first_and_gets_no_password(
        self,
        hub: Misbehaving,
        mirror: Misbehaving,
        mirrored: RegistrySettings,
        store: ImageStore,
        image: Handmade,
    ) -> None:
        challenge = says(401, b"", WWW_Authenticate='Basic realm="x"')
        mirror.then("/v2/", challenge)
        pulled = pull(store, parse("x"), mirrored, Credential("me", "secret"))
        assert pulled.repo_tags == ["x:latest"]
        assert hub.requests("GET", "/blobs/") == []
        assert all("authorization" not in request.headers for request in mirror.state.requests)
        assert len(mirror.requests("GET", "/v2/library/x/blobs/")) == 2

    def test_a_mirror_that_does_not_have_it(
        self,
        hub: Misbehaving,
        mirror: Misbehaving,
        mirrored: RegistrySettings,
        store: ImageStore,
    ) -> None:
        mirror.then("manifest", says(404, b""))
        pull(store, parse("x"), mirrored)
        assert mirror.requests("GET", "/blobs/") == []
        assert len(hub.requests("GET", "/blobs/")) == 2

    def test_a_mirror_that_breaks_off_is_left(
        self,
        hub: Misbehaving,
        mirror: Misbehaving,
        mirrored: RegistrySettings,
        store: ImageStore,
        image: Handmade,
    ) -> None:
        mirror.then("blob", says(200), breaks_after(10))
        pull(store, parse("x"), mirrored)
        [rest] = hub.requests("GET", digest(image.layers[0]))
        assert rest.headers["range"] == "bytes=10-"

    def test_a_mirror_that_is_down(
        self, hub: Misbehaving, settings: RegistrySettings, store: ImageStore
    ) -> None:
        pull(store, parse("x"), replace(settings, mirrors=("http://127.0.0.1:1",)))
        hub.then("manifest", says(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'))
        with pytest.raises(NotInRegistryError, match=r"manifest for y:latest not found"):
            pull(store, parse("y"), replace(settings, mirrors=("http://127.0.0.1:1",)))
