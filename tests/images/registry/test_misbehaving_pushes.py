"""Registries that break off, forget or refuse what is sent to them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.images.references import Reference, parse
from cellcrate_runtime.images.registry.errors import (
    AccessDeniedError,
    RegistryBusyError,
    RegistryUnreachableError,
)
from cellcrate_runtime.images.registry.push import push
from cellcrate_runtime.images.registry.settings import RegistrySettings
from images.handmade import AddImage, Entry
from images.misbehaving import Answer, Handmade, Misbehaving, Request, says

pytestmark = pytest.mark.once

LAYER = 500_000  # bytes
CHUNK = 200_000


@pytest.fixture
def registry() -> Iterator[Misbehaving]:
    """A registry with nothing that a push would send."""
    with Misbehaving(Handmade.of([Entry("another")])).running() as registry:
        yield registry


@pytest.fixture
def name(registry: Misbehaving, add_image: AddImage) -> Reference:
    """An image that is here, by its name there."""
    name = parse(f"{registry.address}/x:1")
    add_image(name.canonical, [Entry("file", os.urandom(LAYER))])
    return name


@pytest.fixture
def chunked(settings: RegistrySettings) -> RegistrySettings:
    """Settings by which the layer goes in three chunks."""
    return replace(settings, chunk=CHUNK)


def takes(size: int) -> Answer:
    """Take some bytes of a chunk, and break the connection."""

    def answer(request: Request, _: bytes) -> None:
        request.state.uploads[request.path] += request.rfile.read(size)
        request.close_connection = True
        request.connection.shutdown(socket.SHUT_RDWR)

    return answer


def forgets(request: Request, _: bytes) -> None:
    """Forget an upload, and break the connection."""
    del request.state.uploads[request.path]
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def is_there(registry: Misbehaving, store: ImageStore, name: Reference) -> bool:
    """Whether an image has arrived as it is here."""
    image = store.get(name.canonical)
    layers = [layer.digest for layer in image.manifest.layers]
    manifest = registry.state.manifests.get("1", b"")
    return {image.id, *layers} <= set(registry.state.blobs) and (
        manifest == store.blobs.read(image.manifest_digest)
    )


@pytest.mark.parametrize("taken", [0, 1, 50_000])
def test_a_chunk_that_breaks_off_goes_on_where_the_registry_is(
    registry: Misbehaving,
    name: Reference,
    store: ImageStore,
    chunked: RegistrySettings,
    taken: int,
) -> None:
    registry.then("PATCH", takes(taken))
    push(store, name, chunked)
    assert is_there(registry, store, name)
    ranges = [r.headers["content-range"] for r in registry.requests("PATCH")]
    # The header "Range" cannot tell one byte from none, and one byte sent twice is refused.
    if taken != 1:
        assert ranges[:2] == ["0-199999", f"{taken}-{taken + CHUNK - 1}"]
        assert len(registry.requests("POST")) == 2  # for the layer and the configuration


def test_an_upload_that_the_registry_forgets_is_begun_anew(
    registry: Misbehaving, name: Reference, store: ImageStore, chunked: RegistrySettings
) -> None:
    registry.then("PATCH", forgets)
    push(store, name, chunked)
    assert is_there(registry, store, name)
    assert len(registry.requests("POST")) == 3


def test_a_registry_that_breaks_every_chunk_off(
    registry: Misbehaving, name: Reference, store: ImageStore, chunked: RegistrySettings
) -> None:
    registry.then("PATCH", *[takes(0)] * chunked.attempts)
    with pytest.raises(RegistryUnreachableError, match="broke"):
        push(store, name, chunked)
    assert registry.state.manifests == {}


def test_what_passes_is_waited_for(
    registry: Misbehaving, name: Reference, store: ImageStore, settings: RegistrySettings
) -> None:
    registry.then("POST", says(503, b""), says(429, b"", Retry_After="0"))
    push(store, name, settings)
    assert is_there(registry, store, name)


def test_a_registry_that_refuses(
    registry: Misbehaving, name: Reference, store: ImageStore, settings: RegistrySettings
) -> None:
    denied = b'{"errors":[{"code":"DENIED","message":"requested access is denied"}]}'
    registry.then("POST", says(403, denied))
    with pytest.raises(AccessDeniedError, match=r"^denied: requested access is denied$"):
        push(store, name, settings)
    assert registry.state.manifests == {}
    assert store.get(name.canonical).repo_digests == []


def test_an_upload_is_sent_to_no_other_host_without_tls(
    registry: Misbehaving, name: Reference, store: ImageStore, settings: RegistrySettings
) -> None:
    registry.then("POST", *[says(202, b"", Location="http://192.0.2.1/x")] * settings.attempts)
    with pytest.raises(RegistryUnreachableError, match="not followed"):
        push(store, name, settings)


def test_a_registry_out_of_order(
    registry: Misbehaving, name: Reference, store: ImageStore, settings: RegistrySettings
) -> None:
    few = replace(settings, attempts=2)
    registry.then("POST", *[says(500, b"")] * 8)
    with pytest.raises(RegistryBusyError, match="unexpected HTTP status: 500"):
        push(store, name, few)
