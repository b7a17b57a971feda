"""config-linux.md, "Namespaces", "User namespace mappings" and "Offset for Time Namespace"."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.box import Box

_FILES = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "mount": "mnt"}
_JOINED = ["network", "ipc", "uts", "pid"]
_MAPPING = [{"containerID": 0, "hostID": 100000, "size": 1000}]


def _link(kind: str, of: object = "self") -> str:
    return os.readlink(f"/proc/{of}/ns/{_FILES.get(kind, kind)}")


@pytest.fixture
def neighbour(another: Box) -> Iterator[Box]:
    """A container that runs, with namespaces to join."""
    another.document["hostname"] = "neighbour"
    another.create("sleep", "1000")
    another.start("sleep")
    yield another
    another.clear()


def test_a_namespace_is_new_without_a_path(box: Box) -> None:
    """Without a path the runtime must create a new namespace of the type."""
    box.namespace("cgroup")
    kinds = [*_FILES.values(), "cgroup"]
    inside = box.sh(f"cd /proc/self/ns; readlink {' '.join(kinds)}").split()
    assert not set(inside) & {_link(kind) for kind in kinds}


@pytest.mark.root
def test_a_namespace_that_is_not_named_is_inherited(box: Box) -> None:
    """A type that is not in the array is inherited from the runtime namespace."""
    for kind in _JOINED:
        box.namespace(kind, None)
    box.bare()
    box.create("sleep", "1000")
    for kind in _JOINED:
        assert _link(kind, box.pid) == _link(kind)
    assert _link("mount", box.pid) != _link("mount")


@pytest.mark.root
def test_a_namespace_with_a_path_is_joined(box: Box, neighbour: Box) -> None:
    """The process must be placed in the namespace of the path."""
    for kind in _JOINED:
        box.namespace(kind, f"/proc/{neighbour.pid}/ns/{_FILES[kind]}")
    box.bare()
    box.create("sleep", "1000")
    for kind in _JOINED:
        assert _link(kind, box.pid) == _link(kind, neighbour.pid)


@pytest.mark.root
def test_the_first_process_of_a_joined_pid_namespace_is_another(box: Box, neighbour: Box) -> None:
    """pid: processes see those of the namespace that they are in."""
    box.namespace("pid", f"/proc/{neighbour.pid}/ns/pid")
    assert box.sh("cat /proc/1/cmdline; test $$ -ne 1").startswith("sleep\x001000")


@pytest.mark.root
def test_a_path_of_another_type_is_refused(box: Box) -> None:
    """A path that is not of a namespace of the type must be an error."""
    box.namespace("network", "/proc/self/ns/ipc")
    box.refuse("true")


@pytest.mark.root
def test_a_path_of_no_namespace_is_refused(box: Box) -> None:
    """So must one that is of no namespace."""
    for path in ("/no/such/file", "/etc/passwd"):
        box.namespace("network", path)
        box.refuse("true")


def test_the_same_type_twice_is_refused(box: Box) -> None:
    """Duplicated namespaces of one type must be an error."""
    box.linux["namespaces"].append({"type": "ipc"})
    box.refuse("true")


def test_a_type_that_is_not_known_is_refused(box: Box) -> None:
    """config.md, "Valid values"."""
    box.linux["namespaces"].append({"type": "nonsense"})
    box.refuse("true")


@pytest.mark.root
def test_ids_are_mapped(box: Box) -> None:
    """uidMappings and gidMappings: from the host to the container."""
    box.namespace("user")
    box.linux.update(uidMappings=_MAPPING, gidMappings=_MAPPING)
    box.mount("/data", "bind", "bind")
    box.scratch.chmod(0o777)
    _open_up(box)
    said = box.sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; touch /data/file").split()
    assert said == ["0", "100000", "1000"] * 2 + ["0"]
    assert (box.scratch / "file").stat().st_uid == 100000


@pytest.mark.root
def test_several_ranges_are_mapped(box: Box) -> None:
    """Each entry is a range."""
    mappings = [*_MAPPING, {"containerID": 5000, "hostID": 200000, "size": 7}]
    box.namespace("user")
    box.linux.update(uidMappings=mappings, gidMappings=mappings)
    _open_up(box)
    lines = box.sh("cat /proc/self/uid_map").splitlines()
    assert [line.split() for line in lines] == [["0", "100000", "1000"], ["5000", "200000", "7"]]


@pytest.mark.root
def test_a_user_of_a_user_namespace(box: Box) -> None:
    """process.user: ids are those of the container."""
    box.namespace("user")
    box.linux.update(uidMappings=_MAPPING, gidMappings=_MAPPING)
    box.process["user"] = {"uid": 7, "gid": 8, "additionalGids": [9]}
    _open_up(box)
    box.create("sleep", "1000")
    assert os.stat(f"/proc/{box.pid}").st_uid == 100007
    box.start("sleep")
    status = Path(f"/proc/{box.pid}/status").read_text()
    assert "Gid:\t100008\t100008" in status
    assert "Groups:\t100009" in status


@pytest.mark.since((1, 1))
def test_the_clocks_of_a_time_namespace(box: Box) -> None:
    """timeOffsets: what is added to the clocks."""
    box.namespace("time")
    box.linux["timeOffsets"] = {
        "monotonic": {"secs": 1000, "nanosecs": 5},
        "boottime": {"secs": 864000},
    }
    said = box.sh("cat /proc/self/timens_offsets; cat /proc/uptime").split()
    assert said[:6] == ["monotonic", "1000", "5", "boottime", "864000", "0"]
    assert float(said[6]) > 864000


def _open_up(box: Box) -> None:
    """Let the ids of the container through the folders that pytest keeps to itself."""
    for folder in (box.folder, *box.folder.parents):
        if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)
