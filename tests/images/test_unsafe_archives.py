"""No archive, however it is made, reaches outside the folder that it is unpacked into."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from cellcrate_runtime.images import (
    CorruptContentError,
    ImageError,
    ImageStore,
    InvalidArchiveError,
    UnsafeArchiveError,
)
from cellcrate_runtime.images.subordinate import remove_tree
from cellcrate_runtime.images.unpack import unpack_layer
from images.handmade import AddImage, Entry, folder, hardlink, make_archive, symlink
from images.tar_bytes import END, block, pax


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the one that is unpacked into, with a file that must stay as it is."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    return outside


def unpack(tmp_path: Path, *entries: Entry) -> Path:
    root = tmp_path / "fs"
    root.mkdir()
    unpack_layer(io.BytesIO(make_archive(entries)), root)
    return root


@pytest.mark.parametrize(
    "entry",
    [
        Entry("../outside/file", b"evil"),
        Entry("a/../../outside/file", b"evil"),
        folder("../outside/new"),
        symlink("../outside/new", "x"),
        hardlink("mine", "../outside/file"),
        hardlink("../outside/new", "mine"),
        Entry("../outside/.wh.file"),
        Entry(".wh..."),
        Entry("a/.wh..."),
        Entry("a/.wh.."),
        hardlink("root", "/"),
    ],
    ids=lambda entry: f"{entry.name} -> {entry.linkname}",
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, outside: Path, entry: Entry) -> None:
    with pytest.raises(UnsafeArchiveError):
        unpack(tmp_path, entry)
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").read_bytes() == b"precious"


def test_an_absolute_name_means_the_root_of_the_image(tmp_path: Path) -> None:
    root = unpack(tmp_path, Entry("/etc/passwd", b"of the image"))
    assert (root / "etc/passwd").read_bytes() == b"of the image"


@pytest.mark.parametrize("target", ["{outside}", "../outside", "../../../../../../{outside}"])
def test_links_do_not_lead_out(tmp_path: Path, outside: Path, target: str) -> None:
    link = target.format(outside=outside)
    root = unpack(tmp_path, symlink("link", link), Entry("link/file", b"evil"))
    assert (outside / "file").read_bytes() == b"precious"
    assert os.listdir(outside) == ["file"]
    # It went where the link would lead with the image as the root.
    written = [path for path in root.rglob("file") if not path.is_symlink()]
    assert [path.read_bytes() for path in written] == [b"evil"]


def test_links_through_links_do_not_lead_out(tmp_path: Path, outside: Path) -> None:
    unpack(
        tmp_path,
        folder("a/b"),
        symlink("a/b/up", "../../.."),
        symlink("sly", "a/b/up/outside"),
        Entry("sly/file", b"evil"),
        Entry("sly/.wh.file"),
        folder("sly/new"),
    )
    assert os.listdir(outside) == ["file"]
    assert (outside / "file").read_bytes() == b"precious"


def test_a_file_is_never_written_through_a_link(tmp_path: Path, outside: Path) -> None:
    root = unpack(
        tmp_path, symlink("file", str(outside / "file")), Entry("file", b"evil", mode=0o777)
    )
    assert (outside / "file").read_bytes() == b"precious"
    assert (root / "file").read_bytes() == b"evil"


def test_a_hard_link_to_a_symbolic_link_is_the_link(tmp_path: Path, outside: Path) -> None:
    root = unpack(
        tmp_path,
        symlink("sly", str(outside / "file")),
        hardlink("hard", "sly"),
        Entry("hard", b"evil"),
    )
    assert (outside / "file").read_bytes() == b"precious"
    assert (root / "hard").read_bytes() == b"evil"
    assert (root / "sly").is_symlink()


def test_a_hard_link_does_not_follow_folders_out(tmp_path: Path, outside: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        unpack(tmp_path, symlink("sly", str(outside)), hardlink("mine", "sly/file"))


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchiveError, match="loop"):
        unpack(tmp_path, symlink("a", "b"), symlink("b", "a"), Entry("a/file", b"x"))


def test_a_folder_in_place_of_a_link_is_a_folder(tmp_path: Path, outside: Path) -> None:
    root = unpack(
        tmp_path, symlink("d", str(outside)), folder("d", mode=0o700), Entry("d/file", b"mine")
    )
    assert (outside / "file").read_bytes() == b"precious"
    assert (root / "d/file").read_bytes() == b"mine"


def test_an_unsafe_layer_leaves_nothing(store: ImageStore, add_image: AddImage) -> None:
    image = add_image("evil", [Entry("fine", b"1")], [Entry("../../x", b"evil")])
    with pytest.raises(UnsafeArchiveError):
        store.lower_dirs(image)
    assert sorted(os.listdir(store.root / "layers")) == [image.diff_ids[0].removeprefix("sha256:")]


def test_a_layer_that_is_not_what_the_image_says_is_refused(
    store: ImageStore, add_image: AddImage
) -> None:
    image = add_image("lying", [Entry("file", b"1")], diff_ids=["sha256:" + "0" * 64])
    with pytest.raises(CorruptContentError, match="0000"):
        store.lower_dirs(image)
    assert os.listdir(store.root / "layers") == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "replaced"])
def test_a_damaged_layer_is_noticed(store: ImageStore, add_image: AddImage, damage: str) -> None:
    image = add_image("x", [Entry("file", os.urandom(1 << 16))])
    path = store.blobs.path(image.manifest.layers[0].digest)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    else:
        content = bytearray(make_archive([Entry("file", b"other")]))
    path.write_bytes(content)
    with pytest.raises(CorruptContentError, match="damaged"):
        store.lower_dirs(image)
    assert os.listdir(store.root / "layers") == []


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    archive = make_archive([Entry("file", b"x" * 10_000)])
    with pytest.raises((InvalidArchiveError, ImageError)):
        unpack_layer(io.BytesIO(archive[:3000]), tmp_path)


def test_entries_of_unknown_type_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "fs"
    root.mkdir()
    info = unpack_layer(io.BytesIO(make_archive([Entry("odd", type=b"Z")])), root)
    assert os.listdir(root) == []
    assert [text.split()[0] for text in info.left_out] == ["odd"]


def test_a_deep_tree_is_replaced_and_removed(tmp_path: Path) -> None:
    """Deeper than Python's stack, and than there are descriptors."""
    deep = "/".join("d" * 1900)
    root = unpack(tmp_path, Entry(f"a/{deep}/file", b"1"), Entry("a", b"2"), folder(f"b/{deep}"))
    assert (root / "a").read_bytes() == b"2"
    remove_tree(root)
    assert not root.exists()


def test_a_name_longer_than_paths_can_be_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="name too long"):
        unpack(tmp_path, Entry("/".join("d" * 3000), b"1"))
    remove_tree(tmp_path)


def test_a_link_with_a_nul_is_refused(tmp_path: Path) -> None:
    archive = pax([(b"linkpath", b"a\0b")]) + block(b"x", b"2") + END
    with pytest.raises(UnsafeArchiveError, match="NUL"):
        unpack_layer(io.BytesIO(archive), tmp_path)
    assert os.listdir(tmp_path) == []


def test_device_numbers_that_no_device_has(tmp_path: Path) -> None:
    odd = block(b"x", b"3", tail={329: b"\xc0" + bytes(7)}) + END
    with pytest.raises(InvalidArchiveError):
        unpack_layer(io.BytesIO(odd), tmp_path)


def test_what_is_left_out_is_told_in_few_words(tmp_path: Path) -> None:
    odd = [Entry(f"odd{n}", type=b"Z") for n in range(1000)]
    info = unpack_layer(io.BytesIO(make_archive(odd)), tmp_path)
    assert len(info.left_out) == 11
    assert info.left_out[-1] == "990 more (of unknown type b'Z')"
