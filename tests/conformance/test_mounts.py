"""config.md, "Mounts" and "Linux mount options"; "Root"; config-linux.md, "Default Filesystems"."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from conformance.box import Box
from conformance.mountinfo import mounted_at

_FLAGS = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "dirsync"]
_USUAL = ["rw", "suid", "dev", "exec", "atime", "diratime", "async", "relatime"]
_UNSEEN = ["defaults", "loud", "silent", "iversion", "noiversion", "norelatime", "nostrictatime"]
_OF_MOUNTS = ["ro", "nosuid", "nodev", "noexec"]


@pytest.fixture
def tree(box: Box) -> Path:
    """A mount with another one below it, which are gone with the runtime's mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount outside of a container")
    folder = box.folder / "tree"
    folder.mkdir()
    box.apart = (
        f"mount -t tmpfs top {folder} && mkdir {folder}/below && "
        f"mount -t tmpfs below {folder}/below && touch {folder}/file {folder}/below/file"
    )
    return folder


def _mounts(box: Box) -> str:
    """The table of mounts of the container."""
    return box.sh("cat /proc/self/mountinfo")


def _several(box: Box, options: Iterable[str], *, source: Path | None = None) -> dict[str, str]:
    """Have a mount for each option; their places, by option."""
    box.mount("/data", "tmpfs")
    places = {option: f"/data/{option}" for option in options}
    for option, place in places.items():
        if source is None:
            box.mount(place, "tmpfs", option)
        else:
            box.mount(place, "none", "rbind", option, source=str(source))
    return places


def test_options_of_a_file_system(box: Box) -> None:
    """An option of the table is in effect on a file system that is mounted anew."""
    places = _several(box, _FLAGS)
    mountinfo = _mounts(box)
    for option, place in places.items():
        assert option in mounted_at(mountinfo, place).options


def test_options_that_are_the_usual(box: Box) -> None:
    """Options of the table whose opposite has to be asked for."""
    places = _several(box, _USUAL)
    mountinfo = _mounts(box)
    for place in places.values():
        assert not set(_FLAGS) & set(mounted_at(mountinfo, place).options)


@pytest.mark.parametrize("option", _UNSEEN)
def test_an_option_that_leaves_no_trace(box: Box, option: str) -> None:
    """Every option with MUST is taken, and not passed on as one of the file system's."""
    box.mount("/data", "tmpfs", option)
    assert mounted_at(_mounts(box), "/data").type == "tmpfs"


def test_options_of_a_bind_mount(box: Box, tree: Path) -> None:
    """On a bind mount it changes that mount, and not those below it."""
    places = _several(box, _OF_MOUNTS, source=tree)
    mountinfo = _mounts(box)
    for option, place in places.items():
        assert option in mounted_at(mountinfo, place).options
        assert option not in mounted_at(mountinfo, f"{place}/below").options


def test_a_bind_mount_with_and_without_what_is_below(box: Box, tree: Path) -> None:
    """bind, and rbind; the type is a dummy."""
    box.mount("/data", "none", "bind", source=str(tree))
    box.mount("/tmp", "", "rbind", source=str(tree))
    assert box.sh("ls /data /data/below /tmp/below").split() == [
        *("/data:", "below", "file", "/data/below:", "/tmp/below:", "file")
    ]


def test_a_bind_mount_of_a_file(box: Box) -> None:
    """source can be a file."""
    (box.scratch / "file").write_text("words\n")
    box.mount("/etc/group", "bind", "bind", "ro", source=str(box.scratch / "file"))
    assert box.sh("cat /etc/group") == "words"


def test_a_source_is_relative_to_the_bundle(box: Box) -> None:
    """Paths of bind mounts are absolute or relative to the bundle."""
    (box.scratch / "file").touch()
    box.mount("/data", "bind", "bind", source="scratch")
    assert box.sh("ls /data") == "file"


def test_a_destination_is_relative_to_the_root(box: Box) -> None:
    """A relative destination is taken to be below /."""
    box.mount("data", "tmpfs")
    assert mounted_at(_mounts(box), "/data").type == "tmpfs"


def test_mounts_are_made_in_their_order(box: Box) -> None:
    """The listed order: a later one covers, and can be inside, an earlier one."""
    (box.scratch / "file").touch()
    box.mount("/data", "tmpfs", "size=1m")
    box.mount("/data/a", "bind", "bind")
    box.mount("/tmp", "bind", "bind")
    box.mount("/tmp", "tmpfs")
    assert box.sh("ls /data/a /tmp").split() == ["/data/a:", "file", "/tmp:"]


def test_an_option_of_the_file_system_is_passed_on(box: Box) -> None:
    """Unknown options go to the file system."""
    box.mount("/data", "tmpfs", "size=64k", "mode=711")
    assert box.sh("stat -c %a /data") == "711"
    assert "size=64k" in mounted_at(_mounts(box), "/data").of_file_system


@pytest.mark.parametrize(
    ("type_", "options"),
    [
        ("tmpfs", ["nonsense"]),
        ("tmpfs", ["size=nonsense"]),
        ("nonsense", []),
        ("bind", ["bind"]),
    ],
)
def test_a_mount_that_cannot_be_is_refused(box: Box, type_: str, options: list[str]) -> None:
    """runtime.md, "Create": no such option or type of a file system, no such source."""
    box.mount("/data", type_, *options, source="/no/such/source")
    box.refuse("true")


def test_a_mount_does_not_leave_the_root(box: Box) -> None:
    """destination is a path inside: a link of the image does not lead out of it."""
    (box.folder / "outside").mkdir()
    (box.scratch / "file").write_text("words\n")
    (box.own_root() / "way-out").symlink_to(f"../../../../../../../..{box.folder}/outside")
    box.mount("/way-out", "bind", "bind")
    done = box.run("sh", "-c", "cat /way-out/file; exit 0")
    # A runtime may refuse it as well.
    assert done.returncode != 0 or done.stdout == "words\n"


def test_a_remount_changes_what_is_there(box: Box) -> None:
    """remount, with options of its own."""
    box.mount("/data", "tmpfs", "nosuid")
    box.mount("/data", "tmpfs", "remount", "ro", "nosuid")
    assert {"ro", "nosuid"} <= set(mounted_at(_mounts(box), "/data").options)


@pytest.mark.since((1, 1))
def test_options_for_all_that_is_below(box: Box, tree: Path) -> None:
    """The options with r change the mounts below too."""
    options = ["rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rnosymfollow"]
    places = _several(box, options, source=tree)
    mountinfo = _mounts(box)
    for option, place in places.items():
        for each in (place, f"{place}/below"):
            assert option.removeprefix("r") in mounted_at(mountinfo, each).options


@pytest.mark.since((1, 1))
def test_rrw_takes_rro_back(box: Box, tree: Path) -> None:
    """rrw, rsuid and their like."""
    box.apart += f" && mount -o remount,bind,ro,nosuid {tree}/below"
    box.mount("/data", "none", "rbind", "rrw", "rsuid", source=str(tree))
    below = mounted_at(_mounts(box), "/data/below").options
    assert not {"ro", "nosuid"} & set(below)


@pytest.mark.root
@pytest.mark.since((1, 2))
@pytest.mark.parametrize(("option", "below"), [("idmap", "0"), ("ridmap", "100000")])
def test_ids_of_a_mount_are_mapped(box: Box, tree: Path, option: str, below: str) -> None:
    """uidMappings and gidMappings of a mount; recursively with ridmap."""
    box.mount("/data", "none", "rbind", option, source=str(tree))
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    box.document["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    said = box.sh("stat -c %u /data/file /data/below/file").split()
    assert said == ["100000", below]


@pytest.mark.root
@pytest.mark.since((1, 2))
def test_a_mount_without_ids_to_map_is_refused(box: Box) -> None:
    """idmap without mappings and without a user namespace must be an error."""
    box.mount("/data", "none", "bind", "idmap")
    box.refuse("true")


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("private", set()),
        ("slave", {"master"}),
        ("shared", {"shared"}),
        ("unbindable", {"unbindable"}),
    ],
)
def test_the_propagation_of_a_bind_mount(
    box: Box, tree: Path, option: str, expected: set[str]
) -> None:
    """private, slave, shared and unbindable; with r those below too."""
    box.apart += f" && mount --make-rshared {tree}"
    # crun has the last word with that of the root, so that callers set both.
    box.linux["rootfsPropagation"] = option.replace("unbindable", "private")
    box.mount("/tmp", "none", "rbind", option, source=str(tree))
    box.mount("/data", "none", "rbind", f"r{option}", source=str(tree))
    mountinfo = _mounts(box)
    for place in ("/tmp", "/data", "/data/below"):
        assert mounted_at(mountinfo, place).propagation >= expected
    if option in ("private", "unbindable"):
        assert mounted_at(mountinfo, "/data/below").propagation == expected


@pytest.mark.root
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("private", set()),
        ("shared", {"shared"}),
        ("unbindable", {"unbindable"}),
    ],
)
def test_the_propagation_of_the_root(box: Box, value: str, expected: set[str]) -> None:
    """config-linux.md, "Rootfs Mount Propagation"."""
    root = box.document["root"]["path"]
    box.apart = f"mount --bind {root} {root} && mount --make-shared {root}"
    box.linux["rootfsPropagation"] = value
    assert mounted_at(_mounts(box), "/").propagation == expected


def test_a_propagation_of_the_root_that_cannot_be_is_refused(box: Box) -> None:
    """config-linux.md, "Rootfs Mount Propagation"."""
    box.linux["rootfsPropagation"] = "nonsense"
    box.refuse("true")


@pytest.mark.parametrize("readonly", [True, False])
def test_the_root_is_read_only_if_asked(box: Box, readonly: bool) -> None:
    """Root: readonly."""
    root = box.own_root()
    box.document["root"]["readonly"] = readonly
    box.run("touch", "/file")
    assert (root / "file").exists() != readonly


def test_the_root_is_relative_to_the_bundle(box: Box) -> None:
    """Root: path is absolute or relative to the bundle."""
    box.own_root()
    box.document["root"]["path"] = "own-root"
    assert box.sh("echo there") == "there"


@pytest.mark.parametrize("root", [{"path": "/no/such/folder"}, {}, None])
def test_a_root_that_is_not_there_is_refused(box: Box, root: object) -> None:
    """Root: required, and a folder must exist at the path."""
    box.document["root"] = root
    box.refuse("true")


def test_the_usual_file_systems_are_mounted(box: Box) -> None:
    """Default Filesystems: as they are listed."""
    mountinfo = _mounts(box)
    usual = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}
    assert {path: mounted_at(mountinfo, path).type for path in usual} == usual
