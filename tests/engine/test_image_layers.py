"""The engine's own requests about layers: a stack, its folders, its files."""

from __future__ import annotations

import json

import pytest

from images.handmade import Entry, digest, make_archive, symlink

from .conftest import RunningEngine


def load(engine: RunningEngine, name: str, *layers: dict[str, bytes]) -> None:
    """Have the engine load an image of layers made by hand."""
    archives = [make_archive(_entry(*file) for file in layer.items()) for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [digest(each) for each in archives],
        },
        "history": [
            {"created_by": "COPY one", "created": "2024-01-02T03:04:05Z"},
            {"created_by": "ENV A=b", "empty_layer": True},
            *({"created_by": f"COPY more {n}"} for n in range(len(layers) - 1)),
        ],
    }
    files = {f"{n}.tar": archive for n, archive in enumerate(archives)}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": list(files)}]
    files |= {
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    engine.client.images.load(make_archive(Entry(*file) for file in files.items()))


def _entry(path: str, data: bytes) -> Entry:
    return symlink(path, data[2:].decode()) if data.startswith(b"->") else Entry(path, data)


BOTTOM = {"etc/motd": b"hello\n", "etc/old": b"old", "out": b"->/etc"}


@pytest.fixture
def stack(engine: RunningEngine) -> list[str]:
    """Two images that share a layer; the digests of the first one's layers."""
    load(engine, "tests/top:1", BOTTOM, {"etc/motd": b"changed\n", "etc/.wh.old": b""})
    load(engine, "tests/bottom:1", BOTTOM)
    layers = engine.client.images.get("tests/top:1").attrs["RootFS"]["Layers"]
    yield list(layers)
    for name in ("tests/top:1", "tests/bottom:1"):
        engine.client.images.remove(name)


def test_the_steps_of_an_image_and_what_their_layers_do(engine: RunningEngine, stack):
    answer = json.loads(engine.request("GET", "/images/tests/top:1/layers").body)
    assert [step["CreatedBy"] for step in answer["Steps"]] == ["COPY one", "ENV A=b", "COPY more 0"]
    first, settings, last = answer["Steps"]
    assert "Layer" not in settings
    assert first["Layer"]["DiffId"] == stack[0]
    assert first["Layer"]["SharedWith"] == ["tests/bottom:1"]
    assert first["Layer"]["Biggest"][0] == {"Path": "/etc/motd", "Size": 6}
    layer = last["Layer"]
    assert (layer["Added"], layer["Changed"], layer["Removed"]) == (0, 1, 1)
    assert layer["SharedWith"] == []


def test_folders_and_files_of_a_layer(engine: RunningEngine, stack):
    base = f"/v1.47/images/tests/top:1/layers/{stack[1]}"
    found = json.loads(engine.request("GET", f"{base}/files?path=/etc").body)
    assert [(each["Name"], each["Kind"]) for each in found] == [
        ("motd", "file"),
        ("old", "removed"),
    ]
    answer = engine.request("GET", f"{base}/content?path=/etc/motd&limit=4")
    assert (answer.body, answer.headers["x-cellcrate-size"]) == (b"chan", "8")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("files?path=/nosuch", 404),
        ("files?path=/out", 404),
        ("files?path=../..", 400),
        ("content?path=/out/passwd", 404),
        ("content?path=/out", 400),
        ("content?path=/etc", 400),
        ("content?path=/etc/motd&limit=-1", 400),
        ("content?path=/etc/motd&limit=99999999", 400),
    ],
)
def test_what_is_not_there_is_refused(engine: RunningEngine, stack, path: str, status: int):
    answer = engine.request("GET", f"/images/tests/top:1/layers/{stack[0]}/{path}")
    assert answer.status == status
    assert answer.message


def test_a_layer_of_another_image_is_not_shown(engine: RunningEngine, stack):
    answer = engine.request("GET", f"/images/tests/bottom:1/layers/{stack[1]}/files")
    assert answer.status == 404
    assert engine.request("GET", "/images/nosuch/layers").status == 404
