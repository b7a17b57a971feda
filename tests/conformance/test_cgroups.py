"""config-linux.md, "Control groups": the path, limits, and what must not be left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.linux.cgroups import hierarchy
from conformance.box import Box
from conformance.runtimes import TREES

pytestmark = pytest.mark.root

_MIB = 1 << 20


def _read(box: Box, v1: str, v2: str) -> str:
    """A file of the container's group, by its name in either version."""
    name = v1 if any((TREES / v1.split("/")[0]).glob("cgroup.procs")) else v2
    controller, _, file = name.rpartition("/")
    path = TREES / controller / box.linux["cgroupsPath"].lstrip("/") / file
    return path.read_text().strip()


def _limit(box: Box, **resources: Any) -> None:
    box.linux["resources"] = resources
    box.create("sleep", "1000")


def test_an_absolute_path_is_below_the_mount_point(box: Box) -> None:
    """Cgroups Path: an absolute path is taken relative to the mount point."""
    box.linux["cgroupsPath"] = f"/{box.id}/below"
    box.create("sleep", "1000")
    groups = Path(f"/proc/{box.pid}/cgroup").read_text().splitlines()
    assert f":/{box.id}/below" in "\n".join(groups)
    box.clear()
    for parent in box.groups():
        parent.rmdir()  # what lies above the container's group is no resource of the container


def test_a_relative_path_is_the_same_place_each_time(box: Box, another: Box) -> None:
    """Cgroups Path: the runtime must consistently attach to the same place."""
    box.linux["cgroupsPath"] = box.id
    places = []
    for _ in range(2):
        box.create("sleep", "1000")
        places.append(Path(f"/proc/{box.pid}/cgroup").read_text())
        box.clear()
    assert places[0] == places[1]
    assert box.id in places[0]


def test_the_group_is_there_before_the_start(box: Box) -> None:
    """runtime.md, "Create": the resources must be created."""
    _limit(box, pids={"limit": 50})
    assert str(box.pid) in _read(box, "pids/cgroup.procs", "cgroup.procs").split()


@pytest.mark.parametrize("limit", [32 * _MIB, 64 * _MIB])
def test_a_limit_of_memory(box: Box, limit: int) -> None:
    """Memory: limit."""
    _limit(box, memory={"limit": limit})
    assert _read(box, "memory/memory.limit_in_bytes", "memory.max") == str(limit)


def test_limits_of_memory_below_and_with_swap(box: Box) -> None:
    """Memory: reservation and swap, which counts memory and swap together."""
    memory = {"limit": 64 * _MIB, "reservation": 16 * _MIB, "swap": 64 * _MIB}
    _limit(box, memory=memory)
    assert _read(box, "memory/memory.soft_limit_in_bytes", "memory.low") == str(16 * _MIB)
    together = str(64 * _MIB) if hierarchy().controllers["memory"].version == 1 else "0"
    assert _read(box, "memory/memory.memsw.limit_in_bytes", "memory.swap.max") == together


def test_shares_of_the_processor(box: Box) -> None:
    """CPU: shares."""
    _limit(box, cpu={"shares": 512})
    # Version 2 has weights from 1 to 10000 instead, and kernels differ in how they translate.
    shares = int(_read(box, "cpu/cpu.shares", "cpu.weight"))
    assert shares == 512 or 0 < shares < 100


def test_a_quota_of_the_processor(box: Box) -> None:
    """CPU: quota and period."""
    _limit(box, cpu={"quota": 20000, "period": 50000})
    if hierarchy().controllers["cpu"].version == 2:
        assert _read(box, "cpu/cpu.max", "cpu.max") == "20000 50000"
    else:
        assert _read(box, "cpu/cpu.cfs_quota_us", "") == "20000"
        assert _read(box, "cpu/cpu.cfs_period_us", "") == "50000"


def test_a_set_of_processors(box: Box) -> None:
    """CPU: cpus and mems."""
    _limit(box, cpu={"cpus": "0", "mems": "0"})
    assert _read(box, "cpuset/cpuset.cpus", "cpuset.cpus") == "0"
    allowed = Path(f"/proc/{box.pid}/status").read_text()
    assert "Cpus_allowed_list:\t0\n" in allowed


def test_a_limit_of_processes(box: Box) -> None:
    """PIDs: limit, which holds for what the program makes."""
    box.linux["resources"] = {"pids": {"limit": 5}}
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; echo made"
    done = box.run("sh", "-c", script)
    assert done.returncode != 0
    assert "made" not in done.stdout


def test_no_limit_of_processes(box: Box) -> None:
    """PIDs: -1 is none."""
    _limit(box, pids={"limit": -1})
    assert _read(box, "pids/pids.max", "pids.max") == "max"


def test_a_program_that_takes_too_much_memory_is_ended(box: Box) -> None:
    """Memory: limit is enforced by the kernel."""
    box.linux["resources"] = {"memory": {"limit": 16 * _MIB, "swap": 16 * _MIB}}
    done = box.run("sh", "-c", "tail /dev/zero; echo $?")
    assert done.stdout.strip() == "137" or done.returncode == 137


@pytest.mark.parametrize(
    "resources",
    [
        {"memory": {"limit": "much"}},
        {"cpu": {"cpus": "nonsense"}},
        {"cpu": {"quota": 1}},
        {"pids": {"limit": "few"}},
        {"hugepageLimits": [{"pageSize": "nonsense", "limit": 1}]},
    ],
)
def test_a_limit_that_cannot_be_is_refused(box: Box, resources: dict[str, Any]) -> None:
    """runtime.md, "Create": what cannot be applied must be an error, and leaves nothing."""
    box.linux["resources"] = resources
    box.refuse("true")


@pytest.mark.since((1, 1))
def test_files_of_the_unified_tree(box: Box) -> None:
    """Unified: files of cgroup v2, by name."""
    place = hierarchy()
    if place.unified is None:
        pytest.skip("there is no v2 tree that groups can be made in")
    box.linux["resources"] = {"unified": {"cgroup.max.depth": "3"}}
    box.create("sleep", "1000")
    path = Path(place.unified + box.linux["cgroupsPath"]) / "cgroup.max.depth"
    assert path.read_text().strip() == "3"


@pytest.mark.since((1, 1))
@pytest.mark.parametrize("name", ["nonsense.max", "../cgroup.procs", "nonsense"])
def test_a_file_that_the_unified_tree_has_not_is_refused(box: Box, name: str) -> None:
    """Unified: a file that is not there must be an error."""
    box.linux["resources"] = {"unified": {name: "1"}}
    box.refuse("true")
