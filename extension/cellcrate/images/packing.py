"""Programs of this machine become an image, by Cellcrate's own packer.

"This machine" is the one that the kernel runs on: its programs and its files are what a person sees
in the notebook. So the packer runs here, as the command line's own does, and the image then goes to
the engine over its API, wherever that is. Of the embedded engine the packer writes into the store
itself, as ``cellcrate image pack`` does beside a running engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellcrate.cells.link import Link
from cellcrate.connection import Engine
from cellcrate.errors import EngineError
from cellcrate.images.archives import load, save
from cellcrate.options import Parsed

__all__ = ["pack"]

#: The options that the packer knows by the same names.
_REPEATED = ("add", "env")
_SINGLE = ("tag", "from", "entrypoint", "cmd", "workdir")


def pack(engine: Engine, parsed: Parsed) -> str:
    """Pack programs; return the image's id.

    Raises:
        EngineError: The packer refuses.
    """
    words = [*_options(parsed), *parsed.words]
    if engine.embedded:
        return _run(["pack", "--quiet", *words])
    with _own_store() as (folder, environment):
        base = parsed.get("from")
        if base:
            save(Link(engine), [base], folder / "base.tar")
            _run(["load", "--input", str(folder / "base.tar")], environment)
        packed = _run(["pack", "--quiet", *words], environment)
        archive = folder / "packed.tar"
        named = parsed.get("tag") or packed
        _run(["save", "--output", str(archive), named], environment)
        load(Link(engine), archive)
        return str(parsed.get("tag") or packed)


def _options(parsed: Parsed) -> list[str]:
    single = [f"--{name}={parsed.get(name)}" for name in _SINGLE if name in parsed]
    repeated = [f"--{name}={value}" for name in _REPEATED for value in parsed.get(name, ())]
    return single + repeated


@contextmanager
def _own_store() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give the packer a store of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cellcrate-pack-") as name:
        yield Path(name), {**os.environ, "CELLCRATE_HOME": name}


def _run(words: list[str], environment: dict[str, str] | None = None) -> str:
    """Run ``cellcrate image``; return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "cellcrate_runtime", "image", *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip().removeprefix("cellcrate: ")
        raise EngineError(said or f"the packer ended with exit status {ended.returncode}.")
    return ended.stdout.strip()
