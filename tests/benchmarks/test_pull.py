"""Getting an image of 300 MB from a registry on this machine, and unpacking it.

Beside ``podman pull``, and ``skopeo copy`` with ``umoci unpack``. Each begins with nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memory import Peak
from report import Table, interleaved, timed

from images import handmade
from images.handmade import Entry
from images.registries import Registry
from images.sent import Sender

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

ROUNDS = 3
LAYERS = 6
FILES = 500  # in a layer
LARGEST = 200_000  # bytes; an average of half of it makes 50 MB a layer


def _layer(number: int) -> list[Entry]:
    """Files of all sizes, which compress to about a half, as programs and texts do."""
    chance = random.Random(number)
    entries = [handmade.folder(f"layer{number}")]
    for file in range(FILES):
        size = chance.randrange(LARGEST)
        half = chance.randbytes(size // 2)
        entries.append(Entry(f"layer{number}/file{file}", half + b"text " * (size // 10)))
    return entries


@pytest.fixture(scope="module")
def image(folder: Path) -> Iterator[str]:
    """The name of the image in its registry."""
    with Registry(folder / "registry") as registry:
        Sender(registry.address).image("large", "1", *map(_layer, range(LAYERS)))
        yield registry.name("large:1")


def test_pull(image: str, folder: Path, show: Callable[[Table], None]) -> None:
    peak = Peak()
    subjects = {
        "cellcrate image pull": lambda: _ours(image, folder / "ours", peak),
        "podman pull": lambda: _podman(image, folder / "podman"),
        "skopeo copy, umoci unpack": lambda: _skopeo(image, folder / "skopeo"),
    }
    present = {name: run for name, run in subjects.items() if name.startswith("cell") or _has(name)}
    table = Table(f"pull and unpack {LAYERS * FILES * LARGEST // 2_000_000} MB", "s", 1.0)
    table.rows = interleaved(ROUNDS, present)
    show(table)
    memory = Table("peak memory of it", "MB", 1e-6, {"cellcrate image pull": peak.found})
    show(memory)


def _has(name: str) -> bool:
    return all(shutil.which(part.split()[0]) for part in name.split(", "))


def _ours(image: str, home: Path, peak: Peak) -> float:
    shutil.rmtree(home, ignore_errors=True)
    command = [sys.executable, "-m", "cellcrate_runtime", "image", "pull", "-q", image]
    return timed(lambda: peak.run(command, {**os.environ, "CELLCRATE_HOME": str(home)}))()


def _podman(image: str, home: Path) -> float:
    if home.exists():
        # Its layers are mounted by nobody, but belong to it in odd ways.
        subprocess.run(["rm", "-rf", home], check=True)
    command = [
        "podman",
        f"--root={home}/root",
        f"--runroot={home}/run",
        "--cgroup-manager=cgroupfs",
    ]
    return timed(
        lambda: subprocess.run(
            [*command, "pull", "-q", "--tls-verify=false", image], check=True, capture_output=True
        )
    )()


def _skopeo(image: str, home: Path) -> float:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    layout = f"{home}/layout:1"

    def both() -> None:
        for command in (
            [
                "skopeo",
                "copy",
                "-q",
                "--src-tls-verify=false",
                f"docker://{image}",
                f"oci:{layout}",
            ],
            ["umoci", "unpack", "--image", layout, str(home / "bundle")],
        ):
            subprocess.run(command, check=True, capture_output=True)

    return timed(both)()
