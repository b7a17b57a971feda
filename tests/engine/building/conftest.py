"""An engine that has a small image to build upon, and what a build says."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.images import BASE_REFERENCE, Execution, ImageStore
from cellcrate_runtime.images.documents import ImageConfig, RootFS
from cellcrate_runtime.images.references import parse
from engine.conftest import RunningEngine, make_home

TOOLS = "tools:1"


def add_tools(store: ImageStore) -> None:
    """Make an image of the base image's lower layer: a shell and its tools, without a Python."""
    base = store.get(BASE_REFERENCE)
    store.add_image(
        ImageConfig(
            created="2020-01-01T00:00:00Z",
            architecture=base.config.architecture,
            os="linux",
            config=Execution(env=["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], cmd=["/bin/sh"]),
            rootfs=RootFS(diff_ids=base.diff_ids[:1]),
            history=(base.config.history or [])[:1],
        ),
        base.manifest.layers[:1],
        parse(TOOLS).with_default_tag(),
    )


@dataclass
class Built:
    """What a build said.

    Attributes:
        image_id: The image; empty where there is none.
        lines: All that was to be read.
        error: Why it failed; empty where it did not.
        code: The exit status of what failed.
    """

    image_id: str = ""
    lines: str = ""
    error: str = ""
    code: int = 0
    documents: list[dict[str, Any]] = field(default_factory=list)

    @property
    def cached(self) -> int:
        """How many steps were done before."""
        return self.lines.count(" ---> Using cache\n")


@pytest.fixture(scope="module")
def module_engine(base_image: Path) -> Iterator[RunningEngine]:
    """An engine that has the small image."""
    paths = make_home(base_image)
    add_tools(ImageStore(paths.images))
    engine = RunningEngine(paths)
    yield engine
    engine.close()


@pytest.fixture
def build(engine: RunningEngine) -> Callable[..., Built]:
    """Build a folder, or a text that is a Dockerfile, through docker-py."""
    return lambda *arguments, **options: build_with(engine, *arguments, **options)


def packed(folder: Path, mode: str = "w") -> bytes:
    """A context as an archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name in sorted(os.listdir(folder)):
            archive.add(folder / name, name)
    return stream.getvalue()


def build_with(engine: RunningEngine, source: Path | str, **options: Any) -> Built:
    """Build through docker-py, and gather what it says."""
    if isinstance(source, Path):
        # All of it: what is to be ignored is for the engine to say.
        options |= {"fileobj": io.BytesIO(packed(source)), "custom_context": True}
    elif "fileobj" not in options:
        options["fileobj"] = io.BytesIO(source.encode())
    built = Built()
    for document in engine.client.api.build(decode=True, rm=True, **options):
        built.documents.append(document)
        built.lines += document.get("stream", "")
        built.error = document.get("error", built.error)
        built.code = document.get("errorDetail", {}).get("code", built.code)
        built.image_id = document.get("aux", {}).get("ID", built.image_id)
    return built
