"""Images from an OCI layout onto the disk: this machine's own files, packed as gzip."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from report import Table, interleaved, timed

from cellcrate_runtime.images.documents import (
    Descriptor,
    ImageConfig,
    Index,
    Layout,
    Manifest,
    MediaType,
    RootFS,
    encode,
)

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="Owners are kept by root in the same way."),
]

ROUNDS = 3
NAME = "org.opencontainers.image.ref.name"

OURS = """
import json, os, sys
from pathlib import Path
from cellcrate_runtime.images import ImageStore
layout, root = Path(sys.argv[1]), Path(sys.argv[2])
store = ImageStore(root)
index = json.loads((layout / "index.json").read_bytes())
digest = index["manifests"][0]["digest"]
with store.adding():
    for path in (layout / "blobs/sha256").iterdir():
        with path.open("rb") as file:
            store.blobs.ingest(file, f"sha256:{path.name}")
    store.name(digest, None)
    store.unpack(digest)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def files(small: bool) -> Iterator[Path]:
    """What is packed: 20,000 files, or some that are 400 megabytes together."""
    left = 20_000 if small else 400 << 20
    for top in (
        ("/usr/lib/python3", "/usr/share", "/usr/lib") if small else ("/usr/lib", "/usr/bin")
    ):
        for folder, folders, names in os.walk(top):
            folders.sort()
            yield Path(folder)
            for name in sorted(names):
                path = Path(folder, name)
                size = path.lstat().st_size
                if path.is_file() and (size < 60_000 if small else size > 300_000):
                    yield path
                    left -= 1 if small else size
                    if left < 0:
                        return


def make_layout(folder: Path, small: bool) -> Path:
    """An OCI layout with an image of four layers."""
    layout = folder / ("small" if small else "large")
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)
    archives = [folder / f"{n}.tar" for n in range(4)]
    tars = [tarfile.open(path, "w", format=tarfile.PAX_FORMAT) for path in archives]  # noqa: SIM115
    for number, path in enumerate(files(small)):
        tars[number % 4].add(path, recursive=False)
    for tar in tars:
        tar.close()

    def add(kind: str, content: bytes) -> Descriptor:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return Descriptor(media_type=kind, digest=f"sha256:{digest}", size=len(content))

    layers, diff_ids = [], []
    for path in archives:
        content = path.read_bytes()
        diff_ids.append(f"sha256:{hashlib.sha256(content).hexdigest()}")
        layers.append(add(MediaType.LAYER_GZIP, gzip.compress(content, 6, mtime=0)))
        path.unlink()
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(diff_ids=diff_ids))
    manifest = Manifest(
        schema_version=2,
        media_type=MediaType.MANIFEST,
        config=add(MediaType.CONFIG, encode(config)),
        layers=layers,
    )
    described = add(MediaType.MANIFEST, encode(manifest))
    described.annotations = {NAME: "bench"}
    (layout / "index.json").write_bytes(encode(Index(schema_version=2, manifests=[described])))
    (layout / "oci-layout").write_bytes(encode(Layout(image_layout_version="1.0.0")))
    return layout


@pytest.mark.parametrize("small", [False, True], ids=["large files", "small files"])
def test_pulling_from_a_layout(folder: Path, show: Callable[[Table], None], small: bool) -> None:
    layout = make_layout(folder, small)
    numbers = count()

    def new() -> Path:
        return folder / f"{layout.name}-{next(numbers)}"

    peak: list[float] = []

    def ours() -> None:
        said = run(
            *(sys.executable, "-c", OURS, layout, new()),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        peak.append(int(said) * 1024.0)

    def umoci() -> None:
        copy = new()
        run("skopeo", "copy", "--quiet", f"oci:{layout}:bench", f"oci:{copy}:bench")
        run("umoci", "unpack", "--image", f"{copy}:bench", f"{copy}-bundle")

    subjects = {"cellcrate": ours}
    if shutil.which("umoci") and shutil.which("skopeo"):
        subjects["skopeo copy + umoci unpack"] = umoci
    # Each has a store of its own for each time: removing files makes ext4 slow for a minute.
    if shutil.which("podman"):
        subjects["podman pull"] = lambda: pull_with_podman(layout, new())
    times = interleaved(ROUNDS, {name: timed(action) for name, action in subjects.items()})
    kind = "20,000 small files" if small else "400 MB in large files"
    show(Table(f"an image of {kind}, from a layout to unpacked layers", "s ", 1, times))
    show(Table("  its peak memory", "MB", 1e-6, {"cellcrate": peak}))


def pull_with_podman(layout: Path, folder: Path) -> None:
    state = [f"--root={folder}/root", f"--runroot={folder}/run"]
    run("podman", *state, "pull", "--quiet", f"oci:{layout}:bench")
    subprocess.run(["umount", folder / "root/overlay"], capture_output=True, check=False)


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
