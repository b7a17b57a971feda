"""config-linux.md, "Devices", "Default Devices" and "Allowed Device list"; runtime-linux.md."""

from __future__ import annotations

from typing import Any

import pytest

from conformance.box import Box

_DEFAULT = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
_NULL: dict[str, Any] = {"path": "/dev/other", "type": "c", "major": 1, "minor": 3}


def test_default_devices(box: Box) -> None:
    """Default Devices: the runtime must supply them."""
    paths = " ".join(f"/dev/{name}" for name in _DEFAULT)
    expected = [f"character special file 1:{minor}" for minor in _DEFAULT.values()]
    assert box.sh(f"stat -c '%F %t:%T' {paths}").splitlines() == expected


def test_default_devices_that_are_terminals(box: Box) -> None:
    """Default Devices: /dev/tty, and /dev/ptmx, which is that of /dev/pts."""
    said = box.sh("stat -c %t:%T /dev/tty; stat -Lc %t:%T /dev/ptmx; ls /dev/pts").split()
    assert said == ["5:0", "5:2", "ptmx"]


def test_default_devices_can_be_used(box: Box) -> None:
    """Devices: that they are there is for programs to use them."""
    script = "echo > /dev/null; head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c"
    assert box.sh(script).split() == ["2", "3"]


def test_the_symbolic_links_of_dev(box: Box) -> None:
    """runtime-linux.md, "Dev symbolic links"."""
    links = box.sh("cd /dev; readlink fd stdin stdout stderr").split()
    assert links == ["/proc/self/fd", *(f"/proc/self/fd/{number}" for number in range(3))]


def test_only_three_descriptors_are_open(box: Box) -> None:
    """runtime-linux.md, "File descriptors"; the fourth is of the folder that ls reads."""
    assert box.run("ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_a_console_is_there_with_a_terminal_alone(box: Box) -> None:
    """Default Devices: /dev/console is set up if a terminal is enabled."""
    assert box.sh("test -e /dev/console || echo missing") == "missing"


@pytest.mark.root
def test_a_device_has_what_it_was_given(box: Box) -> None:
    """Devices: path, type, numbers, mode and owner."""
    box.linux["devices"] = [{**_NULL, "fileMode": 0o620, "uid": 7, "gid": 8}]
    said = box.sh("stat -c '%F %t:%T %a %u %g' /dev/other")
    assert said == "character special file 1:3 620 7 8"


@pytest.mark.root
def test_a_device_of_another_type(box: Box) -> None:
    """Devices: b and p."""
    box.linux["devices"] = [
        {"path": "/dev/block", "type": "b", "major": 7, "minor": 99},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
    ]
    said = box.sh("stat -c '%F %t:%T' /dev/block; stat -c '%F %a' /dev/pipe")
    assert said.splitlines() == ["block special file 7:63", "fifo 600"]


@pytest.mark.root
def test_a_device_outside_of_dev(box: Box) -> None:
    """Devices: the path may be anywhere."""
    box.own_root()
    box.linux["devices"] = [{**_NULL, "path": "/data/below/device"}]
    assert box.sh("stat -c %t:%T /data/below/device") == "1:3"


_DENY_ALL = {"allow": False, "access": "rwm"}
_FUSE = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
_MAY = """
    (true < /dev/fuse) 2>/dev/null && echo r
    (true > /dev/fuse) 2>/dev/null && echo w
    (true < /dev/null > /dev/zero) 2>/dev/null && echo default
"""


@pytest.mark.root
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([_DENY_ALL], "default"),
        (
            [_DENY_ALL, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"}],
            "r default",
        ),
        ([_DENY_ALL, {"allow": True, "type": "c", "major": 10, "access": "rw"}], "r w default"),
        ([_DENY_ALL, {"allow": True, "type": "b", "access": "rw"}], "default"),
        ([{"allow": True, "access": "rwm"}], "r w default"),
        (
            [
                {"allow": True, "access": "rwm"},
                {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
            ],
            "r default",
        ),
    ],
)
def test_device_rules(box: Box, rules: list[dict[str, Any]], expected: str) -> None:
    """Allowed Device list: entries are applied in order; default devices are always allowed."""
    box.linux["devices"] = [_FUSE]
    box.linux["resources"] = {"devices": rules}
    assert box.run("sh", "-c", _MAY).stdout.split() == expected.split()
