"""What is in an image's layers, read from the archives that engines send."""

from __future__ import annotations

import gzip
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from cellcrate.errors import EngineError
from cellcrate.images.contents import archived
from cellcrate.images.contents.archived import ArchivedContents
from cellcrate.images.contents.index import LayerIndex
from cellcrate.images.contents.model import readable
from cellcrate.images.merging import Files
from images.handmade import Entry, digest, folder, hardlink, make_archive, symlink

BOTTOM = make_archive(
    [
        folder("./etc"),
        Entry("./etc/motd", b"hello\n"),
        Entry("./etc/old", b"old"),
        folder("opt"),
        Entry("opt/a", b"a"),
        Entry("big", bytes(5000)),
        hardlink("big2", "big"),
        symlink("link", "/etc/motd"),
    ]
)
TOP = make_archive(
    [
        folder("etc"),
        Entry("etc/motd", b"changed\n"),
        Entry("etc/.wh.old"),
        folder("opt"),
        Entry("opt/.wh..wh..opq"),
        Entry("opt/b", b"b"),
    ]
)
DIFF_IDS = [digest(BOTTOM), digest(TOP)]
CONFIG = {
    "rootfs": {"type": "layers", "diff_ids": DIFF_IDS},
    "history": [
        {"created_by": "/bin/sh -c #(nop) COPY dir:1 in / "},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "RUN /bin/sh -c true # buildkit"},
    ],
}


def bundle(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    entries = [Entry(name, content) for name, content in files.items()]
    return make_archive([*entries, *(symlink(*link) for link in (links or {}).items())])


def manifest(layers: list[str]) -> bytes:
    return json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": layers}]).encode()


def old_docker() -> bytes:
    """As docker before 25 has it: the documents last, a layer that is there twice as a link."""
    return bundle(
        {
            "1/json": b"{}",
            "1/layer.tar": BOTTOM,
            "2/layer.tar": TOP,
            "c.json": json.dumps(CONFIG).encode(),
            "manifest.json": manifest(["3/layer.tar", "2/layer.tar"]),
        },
        {"3/layer.tar": "../1/layer.tar"},
    )


def new_docker() -> bytes:
    """As docker has it since 25: an OCI image layout, here with compressed layers."""
    blobs = {f"blobs/sha256/{n}": gzip.compress(data) for n, data in enumerate((BOTTOM, TOP))}
    return bundle(
        {
            **blobs,
            "c.json": json.dumps(CONFIG).encode(),
            "index.json": b"{}",
            "manifest.json": manifest(list(blobs)),
            "oci-layout": b"{}",
        }
    )


class Link:
    """Answers as an engine does that has one image."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked = 0

    def ask(self, question: Any) -> Any:
        return question(SimpleNamespace(base_url="", api_version="1.41", timeout=1, get=self.get))

    def get(self, url: str, **_: Any) -> Any:
        self.asked += 1
        assert url.endswith("/images/sha256:1/get")
        return SimpleNamespace(
            raw=io.BytesIO(self.content), raise_for_status=lambda: None, close=lambda: None
        )


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch):
    """An index that knows nothing."""
    found = LayerIndex()
    monkeypatch.setattr(archived, "_index", found)
    monkeypatch.setattr(archived, "_configurations", {})
    yield found
    found.close()


def opened(content: bytes, others: dict[str, list[str]] | None = None) -> ArchivedContents:
    return ArchivedContents(Link(content), "sha256:1", DIFF_IDS, others or {})  # type: ignore[arg-type]


@pytest.mark.parametrize("archive", [old_docker, new_docker])
def test_the_stack_of_an_image(archive):
    first, settings, last = opened(archive(), {DIFF_IDS[0]: ["base:1"]}).steps()
    assert first.layer is not None
    assert first.layer.biggest[0] == ("/big", 5000)
    assert (first.layer.added, first.layer.changed, first.layer.removed) == (6, 0, 0)
    assert first.layer.shared_with == ("base:1",)
    assert (settings.instruction, settings.layer) == ("ENV A=b", None)
    assert last.layer is not None
    assert (last.layer.added, last.layer.changed, last.layer.removed) == (1, 1, 2)
    assert last.instruction == "RUN true"


@pytest.mark.parametrize("archive", [old_docker, new_docker])
def test_folders_and_files(archive):
    contents = opened(archive())
    contents.steps()
    found = {entry.name: entry for entry in contents.listing(DIFF_IDS[1], "etc")}
    assert (found["motd"].kind, found["old"].kind) == ("file", "removed")
    assert contents.content(DIFF_IDS[0], "etc/motd", 100) == (b"hello\n", 6)
    assert contents.content(DIFF_IDS[1], "etc/motd", 3) == (b"cha", 8)
    assert contents.content(DIFF_IDS[0], "big2", 10) == (bytes(10), 5000)
    assert [entry.name for entry in contents.listing(DIFF_IDS[1], "") if entry.opaque] == ["opt"]
    with pytest.raises(EngineError):
        contents.content(DIFF_IDS[0], "link", 10)


def test_layers_are_read_once():
    contents = opened(old_docker())
    contents.steps()
    contents.steps()
    assert contents._link.asked == 1  # type: ignore[attr-defined]


def test_all_layers_together_are_what_a_container_sees():
    contents = opened(old_docker())
    contents.steps()
    files = Files(contents, DIFF_IDS)
    assert [(entry.name, layer) for entry, layer in files.listing("", "etc")] == [
        ("motd", DIFF_IDS[1])
    ]
    assert [entry.name for entry, _ in files.listing("", "opt")] == ["b"]
    assert [entry.name for entry, _ in files.listing("", "")] == [
        "etc",
        "opt",
        "big",
        "big2",
        "link",
    ]
    assert [entry.name for entry, _ in files.listing(DIFF_IDS[0], "opt")] == ["a"]


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        bundle({"c.json": b"{}"}),
        bundle({"manifest.json": manifest(["1/layer.tar"]), "c.json": json.dumps(CONFIG).encode()}),
        bundle({"1/layer.tar": BOTTOM[:700] + b"x" * 5000, "manifest.json": manifest([])}),
        old_docker()[:3000],
    ],
)
def test_what_cannot_be_read_is_an_error_and_leaves_nothing(content: bytes, index: LayerIndex):
    with pytest.raises(EngineError, match="cannot be read"):
        opened(content).steps()
    rows = index._database.execute("SELECT count(*) FROM entry WHERE layer LIKE 'reading%'")
    assert rows.fetchone() == (0,)


@pytest.mark.parametrize(
    ("noted", "written"),
    [
        ('/bin/sh -c #(nop)  CMD ["sh"]', 'CMD ["sh"]'),
        ("/bin/sh -c echo hi", "RUN echo hi"),
        ("RUN /bin/sh -c echo hi # buildkit", "RUN echo hi"),
        ("COPY a b # buildkit", "COPY a b"),
        ("cellcrate: shell", "cellcrate: shell"),
    ],
)
def test_instructions_are_shown_as_they_were_written(noted: str, written: str):
    assert readable(noted) == written
