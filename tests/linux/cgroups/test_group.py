"""Making, finding, filling and removing groups."""

from __future__ import annotations

import os
import time

import pytest

from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    CgroupBusyError,
    CgroupError,
    CgroupNotFoundError,
    LimitRefusedError,
    Resources,
)
from cellcrate_runtime.linux.cgroups.hierarchy import Hierarchy
from cellcrate_runtime.linux.cgroups.resources import BlockIO, Memory, ThrottleDevice

pytestmark = pytest.mark.root

MEBIBYTE = 1 << 20


def sleep() -> None:
    time.sleep(30)


def test_a_group_is_made_in_every_tree_that_it_needs_and_removed_from_each(make_group):
    group = make_group()
    directories = dict(group.directories)
    assert directories
    assert all(os.path.isdir(directory) for directory in directories.values())
    group.delete()
    assert not any(os.path.exists(directory) for directory in directories.values())


def test_deleting_twice_is_fine(make_group):
    group = make_group()
    group.delete()
    group.delete()


def test_a_group_is_found_again(make_group, trees):
    group = make_group()
    assert Cgroup.open(group.path).directories == group.directories


def test_a_group_is_found_again_by_its_directories(make_group, inside):
    group = make_group()
    member = inside(group, sleep)
    assert Cgroup(group.path, group.directories).procs() == [member.pid]


def test_opening_what_is_not_there_says_so(trees):
    with pytest.raises(CgroupNotFoundError, match="no control group /cellcrate-nothing"):
        Cgroup.open("/cellcrate-nothing")


@pytest.mark.parametrize(
    "path", ["", "/", "relative", "/a/../b", "/a//b", "/.", "/a/", "..", "/cellcrate/.."]
)
def test_a_path_that_could_lead_elsewhere_is_refused(path):
    with pytest.raises(CgroupError, match="is not the path of a control group"):
        Cgroup.create(path)


def test_a_refused_limit_leaves_nothing_behind(trees: Hierarchy):
    path = f"/cellcrate-refused-{os.getpid()}"
    # The kernel has no such disk; what was made before it finds out has to go.
    rule = ThrottleDevice(major=4001, minor=1, rate=1)
    resources = Resources(
        memory=Memory(limit=64 * MEBIBYTE), block_io=BlockIO(throttle_read_bps_device=[rule])
    )
    with pytest.raises(LimitRefusedError) as caught:
        Cgroup.create(path, resources)
    assert caught.value.file.startswith("/sys/fs/cgroup/")
    assert caught.value.value.startswith("4001:1 ")
    roots = {place.root for place in trees.controllers.values()} | {trees.unified}
    assert not any(root and os.path.exists(root + path) for root in roots)


def test_a_group_with_processes_cannot_be_made_again(make_group, inside):
    group = make_group()
    inside(group, sleep)
    with pytest.raises(CgroupBusyError, match="exists and has processes"):
        Cgroup.create(group.path)
    assert group.procs(), "the group that was there is still there"


def test_what_a_killed_run_left_behind_is_used_again(make_group):
    group = make_group()
    again = Cgroup.create(group.path)
    assert again.directories == group.directories


def test_members_are_listed_and_those_of_groups_below(make_group, inside):
    group = make_group()
    above = inside(group, sleep)
    below = make_group()  # a place for a second process, moved under the first group by hand
    member = inside(below, sleep)
    for directory in group.directories.values():
        os.mkdir(f"{directory}/below")
    try:
        for name, directory in group.directories.items():
            with open(f"{directory}/below/cgroup.procs", "w") as file:
                if not (name == "" and _hands_down(directory)):
                    file.write(str(member.pid))
        assert set(group.procs()) == {above.pid, member.pid}
    finally:
        group.kill()
        below.kill()
        above.wait()
        member.wait()


def _hands_down(directory: str) -> bool:
    with open(f"{directory}/cgroup.subtree_control") as file:
        return bool(file.read().strip())


def test_deleting_removes_groups_below(make_group):
    group = make_group()
    directories = list(group.directories.values())
    for directory in directories:
        os.makedirs(f"{directory}/a/b")
    group.delete()
    assert not any(os.path.exists(directory) for directory in directories)


def test_a_group_with_processes_is_not_deleted(make_group, inside):
    group = make_group()
    member = inside(group, sleep)
    with pytest.raises(CgroupBusyError, match=str(member.pid)):
        group.delete(timeout=0.05)
    assert member.pid in Cgroup.open(group.path).procs()


def test_adding_a_process_that_has_ended_says_so(make_group):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(CgroupError, match="it has ended"):
        make_group().add(pid)


def test_a_process_can_start_in_the_v2_tree(make_group, trees):
    group = make_group()
    descriptor = group.fd()
    if trees.unified is None:
        assert descriptor is None
        return
    assert descriptor is not None
    try:
        assert os.readlink(f"/proc/self/fd/{descriptor}") == trees.unified + group.path
    finally:
        os.close(descriptor)


def test_statistics_of_a_group_that_is_gone_say_so(make_group):
    group = make_group()
    copy = Cgroup(group.path, group.directories)
    group.delete()
    with pytest.raises(CgroupNotFoundError, match="is gone"):
        copy.stats()
    assert copy.procs() == []
