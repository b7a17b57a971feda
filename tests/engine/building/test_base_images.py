"""A build starts from an image that only a registry has, and says who it is if it must."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.building.conftest import TOOLS, Built
from engine.conftest import RunningEngine
from images.handmade import Entry
from images.registries import PASSWORD, USER, Registry
from images.sent import Sender

Build = Callable[..., Built]

pytestmark = pytest.mark.peer


def test_what_is_missing_is_pulled_once(
    engine: RunningEngine, build: Build, registry: Registry
) -> None:
    Sender(registry.address).image("one", "1", [Entry("a", b"of the registry")])
    name = registry.name("one:1")
    text = f"FROM {name}\nCOPY --from={TOOLS} /bin/sh /b\n"
    first = build(text, tag="from-registry:1")
    assert first.image_id
    assert f"Status: Downloaded newer image for {name}" in told(first)
    assert told(build(text)) == []
    assert f"Status: Image is up to date for {name}" in told(build(text, pull=True))
    for image in ("from-registry:1", name):
        engine.client.images.remove(image, force=True)


def test_credentials_come_with_the_request(
    engine: RunningEngine, build: Build, closed: Registry
) -> None:
    name = closed.name("one:1")
    client = engine.client
    client.images.get(TOOLS).tag(name)
    sent = {"username": USER, "password": PASSWORD}
    assert '"error"' not in client.images.push(name, auth_config=sent)
    client.images.remove(name)
    assert "no basic auth credentials" in build(f"FROM {name}\n").error
    client.login(USER, PASSWORD, registry=closed.address)
    assert build(f"FROM {name}\n").image_id
    assert PASSWORD not in engine.log
    client.images.remove(name, force=True)


def told(built: Built) -> list[str]:
    """What the build said of a pull."""
    return [document["status"] for document in built.documents if "status" in document]
