"""config.md, "Mounts" and "Linux mount options"; "Root"; config-linux.md, "Default Filesystems"."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.box import Box
from conformance.mountinfo import Mounted, mounted_at

_FLAGS = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "sync", "dirsync"]
_OPPOSITES = ["rw", "suid", "dev", "exec", "atime", "diratime", "async", "defaults", "loud"]
_UNSEEN = ["iversion", "lazytime", "nolazytime", "noiversion", "norelatime", "nostrictatime"]


@pytest.fixture
def tree(box: Box) -> Path:
    """A mount with another one below it, which are gone with the runtime's mount namespace."""
    folder = box.folder / "tree"
    folder.mkdir()
    box.apart = (
        f"mount -t tmpfs top {folder} && mkdir {folder}/below && "
        f"mount -t tmpfs below {folder}/below && touch {folder}/file {folder}/below/file"
    )
    return folder


def _seen(box: Box, destination: str = "/data") -> Mounted:
    return mounted_at(box.sh("cat /proc/self/mountinfo"), destination)


@pytest.mark.parametrize("option", _FLAGS)
def test_an_option_of_a_file_system(box: Box, option: str) -> None:
    """An option of the table is in effect on a file system that is mounted anew."""
    box.mount("/data", "tmpfs", option)
    assert option in _seen(box).options


@pytest.mark.parametrize("option", _OPPOSITES)
def test_an_option_that_is_the_usual(box: Box, option: str) -> None:
    """An option of the table whose opposite has to be asked for."""
    box.mount("/data", "tmpfs", option)
    assert not set(_FLAGS) & set(_seen(box).options)


@pytest.mark.parametrize("option", _UNSEEN)
def test_an_option_that_leaves_no_trace(box: Box, option: str) -> None:
    """Every option with MUST is taken, and not passed on as one of the file system's."""
    box.mount("/data", "tmpfs", option)
    _seen(box)


@pytest.mark.parametrize("option", ["ro", "nosuid", "nodev", "noexec"])
def test_an_option_of_a_bind_mount(box: Box, tree: Path, option: str) -> None:
    """On a bind mount it changes that mount, and not those below it."""
    box.mount("/data", "none", "rbind", option, source=str(tree))
    mountinfo = box.sh("cat /proc/self/mountinfo")
    assert option in mounted_at(mountinfo, "/data").options
    assert option not in mounted_at(mountinfo, "/data/below").options


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
    assert _seen(box).type == "tmpfs"


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
    assert "size=64k" in _seen(box).of_file_system


@pytest.mark.parametrize("option", ["nonsense", "size=nonsense"])
def test_an_option_that_no_file_system_knows_is_refused(box: Box, option: str) -> None:
    """runtime.md, "Create": what cannot be applied must be an error."""
    box.mount("/data", "tmpfs", option)
    box.refuse("true")


@pytest.mark.parametrize(("type_", "options"), [("nonsense", []), ("bind", ["bind"])])
def test_a_mount_that_cannot_be_is_refused(box: Box, type_: str, options: list[str]) -> None:
    """runtime.md, "Create": a file system that is not there, a source that is not there."""
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
    assert {"ro", "nosuid"} <= set(_seen(box).options)


@pytest.mark.since((1, 1))
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnodiratime", "nodiratime"),
        ("rnosymfollow", "nosymfollow"),
    ],
)
def test_an_option_for_all_that_is_below(box: Box, tree: Path, option: str, expected: str) -> None:
    """The options with r change the mounts below too."""
    box.mount("/data", "none", "rbind", option, source=str(tree))
    mountinfo = box.sh("cat /proc/self/mountinfo")
    for destination in ("/data", "/data/below"):
        assert expected in mounted_at(mountinfo, destination).options


@pytest.mark.since((1, 1))
def test_rrw_takes_rro_back(box: Box, tree: Path) -> None:
    """rrw, rsuid and their like."""
    box.apart += f" && mount -o remount,ro,nosuid {tree}/below"
    box.mount("/data", "none", "rbind", "rrw", "rsuid", source=str(tree))
    below = mounted_at(box.sh("cat /proc/self/mountinfo"), "/data/below")
    assert not {"nosuid"} & set(below.options)


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
        ("private", {}),
        ("rprivate", {}),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("shared", {"shared"}),
        ("rshared", {"shared"}),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
def test_the_propagation_of_a_bind_mount(
    box: Box, tree: Path, option: str, expected: set[str]
) -> None:
    """private, slave, shared and unbindable; with r those below too."""
    box.apart += f" && mount --make-rshared {tree}"
    # crun has the last word with that of the root, so that callers set both.
    box.linux["rootfsPropagation"] = option.removeprefix("r").replace("unbindable", "private")
    box.mount("/data", "none", "rbind", option, source=str(tree))
    mountinfo = box.sh("cat /proc/self/mountinfo")
    assert set(expected) <= mounted_at(mountinfo, "/data").propagation
    if "unbindable" in option or "private" in option:
        assert mounted_at(mountinfo, "/data").propagation == set(expected)
    if option.startswith("r"):
        assert set(expected) <= mounted_at(mountinfo, "/data/below").propagation


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
    assert _seen(box, "/").propagation == expected


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
    mountinfo = box.sh("cat /proc/self/mountinfo")
    usual = {"/proc": "proc", "/sys": "sysfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs"}
    assert {path: mounted_at(mountinfo, path).type for path in usual} == usual
