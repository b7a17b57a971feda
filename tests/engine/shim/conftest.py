"""Containers straight from a launcher, without an engine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from box import Box

from cellcrate_runtime.images import ImageStore


@pytest.fixture(scope="session")
def layers() -> Iterator[list[str]]:
    """The layers of the base image, topmost first."""
    folder = Path(tempfile.mkdtemp(prefix="cellcrate-layers-"))
    try:
        store = ImageStore(folder)
        yield [str(layer) for layer in store.lower_dirs(store.ensure_base())]
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def box(layers: list[str]) -> Iterator[Box]:
    """A home for containers; nothing may be left in it at the end."""
    home = Path(tempfile.mkdtemp(prefix="cc-"))  # short: a socket's path has 108 bytes at most
    box = Box(home, layers)
    try:
        yield box
        box.check_nothing_is_left()
    finally:
        box.remove()


@pytest.fixture(params=["running", "stopped"])
def how(request: pytest.FixtureRequest) -> str:
    """Whether the container runs while its files are worked on."""
    return str(request.param)
