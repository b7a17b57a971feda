"""Choosing among variants, by containerd's rules."""

from __future__ import annotations

import pytest

from cellcrate_runtime.images.documents import Descriptor, Platform
from cellcrate_runtime.images.registry.errors import InvalidRequestError, NotInRegistryError
from cellcrate_runtime.images.registry.platforms import (
    choose,
    fits,
    own_platform,
    parse_platform,
    written,
)

pytestmark = pytest.mark.once


def offered(*names: str) -> list[Descriptor]:
    found = []
    for number, name in enumerate(names):
        parts = dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))
        platform = Platform(**parts) if name else None  # type: ignore[arg-type]
        found.append(Descriptor(media_type="x", digest=f"{number}", size=1, platform=platform))
    return found


@pytest.mark.parametrize(
    ("wanted", "names", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64/v1"], 1),
        ("linux/amd64", ["linux/386"], 0),
        ("linux/amd64", ["linux/386", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], 1),
        ("linux/arm64", ["linux/arm/v7", "linux/arm/v6"], 0),
        ("linux/arm", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v7", ["linux/arm"], 0),
        ("linux/riscv64", ["linux/riscv64"], 0),
        ("linux/s390x", ["linux/amd64", "unknown/unknown"], None),
        ("linux/s390x", ["linux/amd64", ""], 1),
        ("aarch64", ["linux/arm64"], 0),
        ("armhf", ["linux/arm/v7"], 0),
        ("linux/amd64", [], None),
    ],
)
def test_choices(wanted: str, names: list[str], chosen: int | None) -> None:
    if chosen is not None:
        assert choose(offered(*names), parse_platform(wanted), "x").digest == str(chosen)
        return
    with pytest.raises(NotInRegistryError, match="no matching manifest") as failed:
        choose(offered(*names), parse_platform(wanted), "x")
    assert "unknown" not in str(failed.value)
    assert all(name in str(failed.value) for name in names if "unknown" not in name)


def test_what_a_machine_runs() -> None:
    assert fits(Platform(os="linux", architecture="arm"), parse_platform("linux/arm64"))
    assert not fits(Platform(os="linux", architecture="arm64"), parse_platform("linux/arm"))
    assert fits(own_platform(), own_platform())


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "windows/amd64", "linux//v7"])
def test_platforms_that_are_none(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        parse_platform(text)


def test_a_platform_is_written_as_it_is_read() -> None:
    assert written(parse_platform("linux/arm/v6")) == "linux/arm/v6"
    assert written(parse_platform("linux")).startswith("linux/")
    parse_platform("linux/arm/v99999999999")
