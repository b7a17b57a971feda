"""What is in layers: counted, listed and read without ever following what lies in them."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore
from cellcrate_runtime.images.contents import BIGGEST, changes, content, listing
from images.handmade import AddImage, Entry, folder, symlink


@pytest.fixture
def layers(store: ImageStore, add_image: AddImage):
    """Put an image's layers on disk, and return their folders, bottom first."""

    def unpack(*archives: list[Entry]) -> list[Path]:
        return store.lower_dirs(add_image("test", *archives))[::-1]

    return unpack


def of_last(folders: list[Path]) -> tuple[int, int, int]:
    found = changes(folders[-1], folders[:-1][::-1])
    return found.added, found.changed, found.removed


def test_files_that_are_new_changed_and_gone_are_told_apart(layers):
    folders = layers(
        [folder("etc"), Entry("etc/a", b"a"), Entry("etc/b", b"b"), Entry("etc/c", b"c")],
        [Entry("etc/a", b"other"), Entry("etc/.wh.b"), Entry("etc/new"), Entry("etc/newer")],
    )
    assert of_last(folders[:1]) == (3, 0, 0)
    assert of_last(folders) == (2, 1, 1)


def test_what_was_gone_and_comes_back_is_added(layers):
    folders = layers([Entry("a")], [Entry(".wh.a")], [Entry("a")])
    assert of_last(folders) == (1, 0, 0)


def test_what_an_opaque_folder_hides_counts_for_nothing(layers):
    folders = layers(
        [folder("d"), folder("d/in"), Entry("d/in/a"), Entry("d/b")],
        [folder("d"), Entry("d/.wh..wh..opq"), folder("d/in"), Entry("d/in/a"), Entry("d/b")],
    )
    assert of_last(folders) == (2, 0, 1)


def test_a_layer_in_between_may_hide_a_folder(layers):
    folders = layers(
        [folder("d"), Entry("d/a")], [Entry(".wh.d")], [folder("d"), Entry("d/a"), Entry("d/b")]
    )
    assert of_last(folders) == (2, 0, 0)
    folders = layers(
        [folder("d"), Entry("d/a")], [Entry("d")], [folder("d"), Entry("d/a"), Entry("d/b")]
    )
    assert of_last(folders)[:2] == (2, 0)


def test_a_link_where_a_folder_was_hides_it(layers):
    folders = layers(
        [folder("lib"), Entry("lib/a"), folder("usr"), Entry("usr/a")],
        [symlink("lib", "usr")],
        [folder("lib"), Entry("lib/a")],
    )
    assert of_last(folders)[:2] == (1, 0)


def test_the_biggest_files_come_first(layers):
    names = [Entry(f"f{size}", bytes(size)) for size in range(1, 9)]
    (only,) = layers([*names, folder("d"), Entry("d/huge", bytes(100))])
    found = changes(only, []).biggest
    assert found[:2] == [("/d/huge", 100), ("/f8", 8)]
    assert len(found) == BIGGEST


def test_a_folder_is_listed_with_what_each_name_is(layers):
    *_, last = layers(
        [folder("d"), Entry("d/gone")],
        [
            folder("d"),
            Entry("d/file", b"12345", mode=0o640),
            folder("d/inner"),
            symlink("d/link", "/etc/passwd"),
            Entry("d/.wh.gone"),
            Entry("d/pipe", type=tarfile.FIFOTYPE),
        ],
    )
    found = {entry.name: entry for entry in listing(last, "d")}
    assert next(iter(found)) == "inner"
    assert {name: entry.kind for name, entry in found.items()} == {
        "inner": "folder",
        "file": "file",
        "gone": "removed",
        "link": "link",
        "pipe": "special",
    }
    assert (found["file"].size, found["file"].mode) == (5, 0o640)
    assert found["link"].target == "/etc/passwd"


def test_opaque_folders_are_marked(layers):
    *_, last = layers([folder("d"), Entry("d/a")], [folder("d"), Entry("d/.wh..wh..opq")])
    assert [entry.opaque for entry in listing(last, "")] == [True]


def test_the_beginning_of_a_file_is_read(layers):
    (only,) = layers([folder("d"), Entry("d/a", b"0123456789")])
    assert content(only, "d/a", 4) == (b"0123", 10)
    assert content(only, "d/a", 40) == (b"0123456789", 10)


@pytest.mark.parametrize("path", ["out/passwd", "up/passwd", "file/x", "missing/x"])
def test_links_lead_nowhere(layers, path: str):
    (only,) = layers([symlink("out", "/etc"), symlink("up", "../../../../../etc"), Entry("file")])
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        listing(only, path)
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        content(only, path, 10)


def test_what_is_no_file_is_not_read(layers):
    (only,) = layers([folder("d"), Entry("pipe", type=tarfile.FIFOTYPE), symlink("l", "d")])
    for path in ("d", "pipe", "l"):
        with pytest.raises(OSError, match=r"it is a folder|it is no ordinary file"):
            content(only, path, 10)


def test_names_that_are_no_text_can_be_listed(layers):
    (only,) = layers([folder("d")])
    (Path(os.fsdecode(os.fsencode(only) + b"/d/\xff"))).touch()
    assert [entry.name for entry in listing(only, "d")] == ["�"]
