"""What the engine tells about its computer."""

from __future__ import annotations

import platform

import pytest

from cellcrate_runtime.engine import machine_facts


@pytest.mark.parametrize(
    ("processor", "name"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv6l", "arm"), ("loongarch64", "loong64")],
)
def test_processors_have_the_names_that_images_have(
    monkeypatch: pytest.MonkeyPatch, processor: str, name: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: processor)
    assert machine_facts.version("1.47", "1.24")["Arch"] == name
