"""What an ordinary user may do, with a delegated part of the tree and without one."""

from __future__ import annotations

import os
import signal

import pytest

from cellcrate_runtime.linux import cgroups, mounts, namespaces, rootless
from cellcrate_runtime.linux.cgroups import (
    Cgroup,
    ControllerUnavailableError,
    Resources,
    delegation,
)
from cellcrate_runtime.linux.cgroups.hierarchy import LEAF, discover, own_leaf, own_path
from cellcrate_runtime.linux.cgroups.resources import CPU, DeviceRule, Memory, Pids

pytestmark = pytest.mark.root  # becomes an ordinary user itself

MEBIBYTE = 1 << 20


def test_without_delegation_a_limit_is_a_clear_error(as_somebody):
    def check() -> None:
        found = delegation.prepare()
        assert not found.writable
        assert found.reason
        with pytest.raises(ControllerUnavailableError) as caught:
            Cgroup.create("/cellcrate/limited", Resources(memory=Memory(limit=MEBIBYTE)))
        message = str(caught.value)
        assert message.startswith("No memory limit can be set: ")
        assert found.reason in message
        assert ("systemd-run" if found.kind == "v2" else "as root") in message
        problems = cgroups.check(Resources(memory=Memory(limit=64 * MEBIBYTE)))
        assert [problem.member for problem in problems] == ["memory"]

    as_somebody(check)


def test_without_delegation_there_is_no_group_at_all(as_somebody):
    def check() -> None:
        with pytest.raises(ControllerUnavailableError, match="control group"):
            Cgroup.create("/cellcrate/unlimited")

    as_somebody(check)


@pytest.fixture
def delegated(somebody):
    """A cgroup of the v2 tree that belongs to an ordinary user."""
    found = cgroups.hierarchy()
    if found.kind != "v2":
        pytest.skip("The controllers of this machine are not in a v2 tree.")
    directory = f"{found.unified}/cellcrate-delegated-{os.getpid()}"
    with open(f"{found.unified}/cgroup.subtree_control", "w") as file:
        file.write("+cpu +memory +pids")
    os.mkdir(directory)
    for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(f"{directory}/{name}", somebody, somebody)
    yield directory
    for path, _, _ in os.walk(directory, topdown=False):
        os.rmdir(path)


def test_a_delegated_group_is_divided(delegated, as_somebody):
    limit = 24 * MEBIBYTE

    def check() -> None:
        found = delegation.prepare()
        assert found.unified == delegated
        assert own_leaf()
        assert os.path.basename(own_path()) == LEAF
        resources = Resources(
            memory=Memory(limit=limit, swap=limit), pids=Pids(limit=5), cpu=CPU(quota=50_000)
        )
        group = Cgroup.create("/cellcrate/1", resources)
        try:
            pid = os.fork()
            if pid == 0:
                group.add(os.getpid())
                taken = []
                while True:
                    taken.append(bytearray(MEBIBYTE))
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
            assert group.oom_kills() == 1
        finally:
            group.delete()

    as_somebody(check, in_group=delegated)


def test_a_second_engine_in_the_leaf_uses_the_same_tree(delegated, as_somebody):
    def check() -> None:
        delegation.prepare()
        again = delegation.prepare()
        assert again.unified == delegated
        assert own_path().count(LEAF) == 1

    as_somebody(check, in_group=delegated)


def test_what_was_not_delegated_is_named(delegated, as_somebody):
    def check() -> None:
        delegation.prepare()
        with pytest.raises(ControllerUnavailableError, match="no io controller") as caught:
            cgroups.hierarchy().require("io")
        assert "cpu" in caught.value.reason

    as_somebody(check, in_group=delegated)


def test_a_launcher_in_its_user_namespace_makes_groups(delegated, as_somebody):
    """There, its user id is 0; and device rules, which only root could set, are left out."""

    def check() -> None:
        delegation.prepare()
        rootless.enter_user_namespace()
        assert os.geteuid() == 0
        cgroups.hierarchy.cache_clear()
        assert cgroups.hierarchy().unified == delegated
        rules = [DeviceRule(allow=False), DeviceRule(allow=True, type="c", major=1, minor=3)]
        group = Cgroup.create("/cellcrate/1", Resources(devices=rules, pids=Pids(limit=5)))
        assert group.stats().pids.limit == 5
        group.delete()

    as_somebody(check, in_group=delegated)


def test_root_of_a_cgroup_namespace_makes_room(delegated, in_child):
    """In a container with cgroup v2, the top of what is seen is no real top: it has members."""

    def check() -> None:
        with open(f"{delegated}/cgroup.procs", "w") as file:
            file.write("0")
        namespaces.unshare(namespaces.FLAGS["cgroup"] | namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
        mounts.unmount("/sys/fs/cgroup", mounts.MNT_DETACH)
        mounts.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0)
        cgroups.hierarchy.cache_clear()
        assert own_path() == "/"
        found = delegation.prepare()
        assert own_path() == f"/{LEAF}"
        assert found.unified == "/sys/fs/cgroup"
        group = Cgroup.create("/cellcrate/1", Resources(memory=Memory(limit=8 * MEBIBYTE)))
        assert group.stats().memory.limit == 8 * MEBIBYTE
        group.delete()

    in_child(check)


def test_what_a_container_sees_of_the_groups_is_not_taken_for_the_machines(tmp_path, in_child):
    def check() -> None:
        namespaces.unshare(namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_PRIVATE | mounts.MS_REC)
        before = discover()
        of_container = mounts.open_tree("/sys/fs/cgroup", clone=True, recursive=True)
        of_machine = mounts.open_tree("/sys/fs/cgroup", clone=True, recursive=True)
        mounts.set_attributes(of_container, set_=mounts.ATTR_RDONLY, recursive=True)
        mounts.attach(of_container, str(tmp_path))
        mounts.unmount("/sys/fs/cgroup", mounts.MNT_DETACH)
        mounts.attach(of_machine, "/sys/fs/cgroup")
        assert discover() == before
        assert before.writable

    in_child(check)
