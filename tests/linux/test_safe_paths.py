"""Paths inside a root that somebody else filled."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux.safe_paths import make_directory, make_file, open_inside, visit

_libc = ctypes.CDLL(None)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def image(tmp_path: Path, outside: Path) -> Path:
    folder = tmp_path / "image"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/file").write_text("inside")
    return folder


@pytest.fixture
def root(image: Path) -> Iterator[int]:
    descriptor = os.open(image, os.O_PATH)
    yield descriptor
    os.close(descriptor)


def read(root: int, path: str) -> str:
    with open(open_inside(root, path, os.O_RDONLY)) as file:
        return file.read()


def test_absolute_and_relative_paths_start_at_the_root(root: int) -> None:
    assert read(root, "/etc/file") == read(root, "etc/file") == "inside"
    assert read(root, "/../../etc/../etc/file") == "inside"


@pytest.mark.parametrize("target", ["{outside}", "../../outside", "/../../../{outside}"])
def test_links_cannot_leave(root: int, image: Path, outside: Path, target: str) -> None:
    (image / "trap").symlink_to(target.format(outside=outside))
    with pytest.raises(FileNotFoundError):
        open_inside(root, "/trap/secret")


def test_a_link_means_what_it_means_inside(root: int, image: Path) -> None:
    (image / "link").symlink_to("/etc")
    assert read(root, "/link/file") == "inside"


def test_magic_links_are_refused(root: int, image: Path) -> None:
    here = os.open("/proc", os.O_PATH)
    try:
        with pytest.raises(OSError, match="symbolic links"):
            open_inside(here, "/self/root/etc")
    finally:
        os.close(here)


def test_no_link_at_all(root: int, image: Path) -> None:
    (image / "link").symlink_to("/etc")
    with pytest.raises(OSError, match="symbolic links"):
        open_inside(root, "/link/file", links=False)


def test_folders_are_made(root: int, image: Path) -> None:
    for path in ("/one", "/a/b/c", "/a/b/../d"):
        os.close(make_directory(root, path, 0o700))
    assert (image / "a/b/c").is_dir()
    assert (image / "a/d").is_dir()
    assert (image / "one").stat().st_mode & 0o777 == 0o700


def test_files_are_made(root: int, image: Path) -> None:
    os.close(make_file(root, "/x/y/z"))
    os.close(make_file(root, "/x/y/z"))
    assert (image / "x/y/z").read_bytes() == b""
    assert (image / "x/y").stat().st_mode & 0o777 == 0o755, "a file's mode is no folder's"


def test_a_link_to_what_is_not_there_is_made_there_inside(
    root: int, image: Path, outside: Path
) -> None:
    (image / "shm").symlink_to("/run/shm")
    (image / "up").symlink_to("../../../over/and/away")
    (image / "out").symlink_to(outside / "made")
    for path in ("/shm", "/up/here", "/out/x"):
        os.close(make_directory(root, path))
    assert (image / "run/shm").is_dir()
    assert (image / "over/and/away/here").is_dir()
    assert not (outside / "made").exists()
    assert (image / str(outside).lstrip("/") / "made/x").is_dir()


def test_each_component_is_visited_where_it_is(root: int, image: Path) -> None:
    (image / "link").symlink_to("/etc/../over")
    found = []

    def make(folder: int, name: str, is_last: bool) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{folder}"))
        found.append((str(place.relative_to(image)), name, is_last))
        (place / name).mkdir(exist_ok=True)

    visit(root, "/link/./there", make)
    assert found == [(".", "etc", False), (".", "over", False), ("over", "there", True)]


def test_a_loop_of_links(root: int, image: Path) -> None:
    (image / "a").symlink_to("b")
    (image / "b").symlink_to("a")
    for make in (make_directory, make_file):
        with pytest.raises(OSError, match="symbolic links"):
            make(root, "/a/x")


def test_a_file_in_the_way(root: int) -> None:
    with pytest.raises(NotADirectoryError):
        make_directory(root, "/etc/file/x")
    with pytest.raises(NotADirectoryError):
        make_directory(root, "/etc/file")


def test_a_folder_that_is_swapped_for_a_link_meanwhile(
    root: int, image: Path, outside: Path
) -> None:
    """Whatever the moment, nothing is made outside."""
    (image / "swap").mkdir()
    (image / "link").symlink_to(outside)
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            _exchange(image / "swap", image / "link")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            try:
                os.close(make_directory(root, f"/swap/made/{number}"))
            except OSError:
                continue
    finally:
        done.set()
        thread.join()
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def _exchange(one: Path, other: Path) -> None:
    """renameat2(2) with RENAME_EXCHANGE."""
    at_cwd, exchange = -100, 2
    assert _libc.renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0


def test_no_descriptor_is_left_open(root: int, image: Path) -> None:
    (image / "a").symlink_to("b/c")
    before = len(os.listdir("/proc/self/fd"))
    os.close(make_directory(root, "/a/d/e"))
    os.close(make_file(root, "/a/d/f"))
    with pytest.raises(NotADirectoryError):
        make_directory(root, "/etc/file/x")
    assert len(os.listdir("/proc/self/fd")) == before
