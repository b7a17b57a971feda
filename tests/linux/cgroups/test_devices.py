"""Device rules: which nodes a process in the group can open and make."""

from __future__ import annotations

import os
import stat

import pytest

from cellcrate_runtime.linux.cgroups import Resources
from cellcrate_runtime.linux.cgroups.resources import DeviceRule
from cellcrate_runtime.linux.cgroups.v2 import devices as devices2

pytestmark = pytest.mark.root

NULL = (1, 3)
ZERO = (1, 5)
FULL = (1, 7)

DENY_ALL = DeviceRule(allow=False)


def allow(device: tuple[int, int], access: str = "rwm") -> DeviceRule:
    return DeviceRule(allow=True, type="c", major=device[0], minor=device[1], access=access)


@pytest.fixture(params=["the machine's way", "a BPF program"])
def apply(request, trees, monkeypatch):
    """Set device rules, also by a BPF program in a hybrid machine's v2 tree."""
    if request.param == "the machine's way":
        return lambda group, rules: group.apply(Resources(devices=rules))
    if trees.unified is None:
        pytest.skip("There is no v2 tree to attach a program in.")
    if trees.controllers["devices"].version == 2:
        pytest.skip("That is this machine's way.")

    def attach(group, rules):
        devices2.apply(group.directories[""], Resources(devices=rules))

    return attach


def open_device(device: tuple[int, int], flags: int, folder) -> None:
    path = folder / f"node-{device[0]}-{device[1]}"
    os.close(os.open(path, flags))


@pytest.fixture
def nodes(tmp_path):
    """Device nodes made before there are rules."""
    for device in (NULL, ZERO, FULL):
        path = tmp_path / f"node-{device[0]}-{device[1]}"
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(*device))
    return tmp_path


def test_only_what_is_allowed_can_be_opened(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, allow(NULL)])

    def look() -> None:
        open_device(NULL, os.O_RDWR, nodes)
        with pytest.raises(PermissionError):
            open_device(ZERO, os.O_RDONLY, nodes)

    assert inside(group, look).wait() == 0


def test_reading_can_be_allowed_without_writing(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, allow(ZERO, "r")])

    def look() -> None:
        open_device(ZERO, os.O_RDONLY, nodes)
        for flags in (os.O_WRONLY, os.O_RDWR):
            with pytest.raises(PermissionError):
                open_device(ZERO, flags, nodes)

    assert inside(group, look).wait() == 0


def test_two_rules_about_one_device_add_up(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, allow(ZERO, "r"), allow(ZERO, "w")])
    assert inside(group, lambda: open_device(ZERO, os.O_RDWR, nodes)).wait() == 0


def test_the_last_rule_decides(make_group, inside, apply, nodes):
    group = make_group()
    deny_full = DeviceRule(allow=False, type="c", major=1, minor=7, access="rwm")
    apply(group, [DENY_ALL, DeviceRule(allow=True, type="c", major=1, access="rwm"), deny_full])

    def look() -> None:
        open_device(NULL, os.O_RDWR, nodes)
        with pytest.raises(PermissionError):
            open_device(FULL, os.O_RDONLY, nodes)

    if "devices" in group.directories:
        pytest.skip("cgroup v1 cannot take one minor number out of an allowed major.")
    assert inside(group, look).wait() == 0


def test_making_nodes_can_be_denied(make_group, inside, apply, tmp_path):
    group = make_group()
    apply(group, [DENY_ALL, allow(NULL, "rw")])

    def look() -> None:
        with pytest.raises(PermissionError):
            os.mknod(tmp_path / "new", 0o600 | stat.S_IFCHR, os.makedev(*NULL))
        os.mkfifo(tmp_path / "fifo")

    assert inside(group, look).wait() == 0


def test_a_kind_of_device_can_be_allowed(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, DeviceRule(allow=True, type="c", access="rwm")])
    assert inside(group, lambda: open_device(FULL, os.O_RDWR, nodes)).wait() == 0


def test_everything_can_be_allowed(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, DeviceRule(allow=True, access="rwm")])
    assert inside(group, lambda: open_device(ZERO, os.O_RDWR, nodes)).wait() == 0


def test_rules_are_replaced_live(make_group, inside, apply, nodes):
    group = make_group()
    apply(group, [DENY_ALL, allow(NULL)])
    apply(group, [DENY_ALL, allow(ZERO)])

    def look() -> None:
        open_device(ZERO, os.O_RDWR, nodes)
        with pytest.raises(PermissionError):
            open_device(NULL, os.O_RDWR, nodes)

    assert inside(group, look).wait() == 0
