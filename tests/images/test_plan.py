"""What a plan takes, what it refuses, and what it sees below it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cellcrate_runtime.images import ImageStore, PackError
from cellcrate_runtime.images.packer.below import UnpackedLayers
from cellcrate_runtime.images.packer.plan import Plan, merged, source_date_epoch
from images.handmade import AddImage, Entry, folder, symlink


@pytest.mark.parametrize(
    ("name", "in_image"),
    [
        ("/bin/sh", "/usr/bin/sh"),
        ("/lib64/ld.so", "/usr/lib64/ld.so"),
        ("/lib", "/lib"),
        ("/usr/bin/env", "/usr/bin/env"),
        ("/usr/../bin//sh", "/usr/bin/sh"),
        ("/../../x", "/x"),
        ("x/y", "/x/y"),
        ("/", "/"),
    ],
)
def test_names_in_an_image(name: str, in_image: str) -> None:
    assert merged(name) == in_image


def test_folders_and_links_come_by_themselves() -> None:
    plan = Plan()
    plan.add_text("/bin/sh", "#!")
    assert [name for name, _ in plan.sorted()] == ["/bin", "/usr", "/usr/bin", "/usr/bin/sh"]
    assert plan.items["/bin"].target == "usr/bin"
    assert plan.resolve("/usr/bin/sh") == plan.items["/usr/bin/sh"]


def test_folders_come_before_what_they_hold() -> None:
    plan = Plan()
    for name in ("/a-b", "/a/c", "/a.d"):
        plan.add_text(name, "")
    names = [name for name, _ in plan.sorted()]
    assert names.index("/a") < names.index("/a/c")


def test_nothing_goes_below_a_file() -> None:
    plan = Plan()
    plan.add_text("/srv/file", "")
    with pytest.raises(PackError, match="no folder"):
        plan.add_text("/srv/file/below", "")


def test_links_are_resolved_within_the_plan() -> None:
    plan = Plan()
    plan.add_text("/usr/lib/libx.so.1.2", "x")
    plan.add_link("/usr/lib/libx.so.1", "libx.so.1.2")
    plan.add_link("/usr/lib/libx.so", "/usr/lib/libx.so.1")
    plan.add_link("/loop", "loop")
    assert plan.resolve("/lib/libx.so") == plan.items["/usr/lib/libx.so.1.2"]
    assert plan.resolve("/loop") is None
    assert plan.resolve("/nothing") is None


@pytest.mark.parametrize("text", ["-1", "soon", "1.5"])
def test_the_latest_time_is_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(PackError, match="SOURCE_DATE_EPOCH"):
        source_date_epoch()


def test_what_lies_below_is_seen_as_overlayfs_shows_it(
    store: ImageStore, add_image: AddImage, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of this machine")
    lower = [
        Entry("stays", b"1"),
        Entry("gone", b"1"),
        Entry("closed/gone", b"1"),
        Entry("removed/gone", b"1"),
        Entry("linked/gone", b"1"),
        folder("sticky", mode=0o1777),
    ]
    upper = [
        Entry(".wh.gone"),
        Entry("closed/.wh..wh..opq"),
        Entry("closed/new", b"2"),
        Entry(".wh.removed"),
        symlink("linked", "stays"),
        symlink("sly", str(tmp_path)),
    ]
    below = UnpackedLayers(store.lower_dirs(add_image("x", lower, upper)))
    seen = {
        name
        for name in ("/stays", "/gone", "/closed/gone", "/closed/new", "/removed/gone",
                     "/linked/gone", "/linked", "/sly", "/sly/secret", "/stays/x", "/no/such")
        if below.find(name) is not None
    }  # fmt: skip
    assert seen == {"/stays", "/closed/new", "/linked", "/sly"}
    sticky = below.find("/sticky")
    assert sticky is not None
    assert (sticky.type, sticky.mode) == (stat.S_IFDIR, 0o1777)
