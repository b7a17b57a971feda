"""ps, pause, resume, update and events: what a control group can do."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.linux.cgroups import Cgroup, hierarchy, tidy
from cellcrate_runtime.linux.cgroups.v1 import cpuset
from oci_command.program import ENVIRONMENT, Bundle, Program

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """The group above those of the tests is removed too."""
    yield
    tidy("/cellcrate-command")


@pytest.fixture
def running(nothing_left: None, program: Program, bundle: Bundle) -> str:
    """A container that runs until it is ended."""
    bundle.document["linux"]["cgroupsPath"] = "/cellcrate-command/c1"
    path = bundle.write("sh", "-c", "sleep 1000; true")
    program.do("run", "--detach", f"--bundle={path}", "c1")
    return "c1"


@pytest.fixture
def group(program: Program, running: str) -> Cgroup:
    """The container's control group."""
    return Cgroup.open("/cellcrate-command/c1")


def test_the_group_is_where_the_configuration_says(
    program: Program, running: str, group: Cgroup
) -> None:
    assert json.loads(program.do("state", running))["pid"] in group.procs()
    program.do("delete", "--force", running)
    assert not any(Path(directory).exists() for directory in group.directories.values())


def test_callers_find_the_time_in_a_tree_of_its_own(program: Program, running: str) -> None:
    """Podman and containerd read what cpuacct of cgroup v1 counts, by themselves."""
    pid = json.loads(program.do("state", running))["pid"]
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    paths = [line.split(":")[2] for line in lines if "cpuacct" in line.split(":")[1].split(",")]
    if not paths:
        pytest.skip("cgroup v2 counts time without a controller")
    assert paths[0].endswith("/cellcrate-command/c1")


def test_the_processes_are_listed(program: Program, running: str, group: Cgroup) -> None:
    assert json.loads(program.do("ps", "--format=json", running)) == sorted(group.procs())
    table = program.do("ps", running)
    assert table.splitlines()[0].split()[:3] == ["UID", "PID", "PPID"]
    assert "sleep 1000" in table
    assert program.do("ps", running, "-o", "pid,comm").count("\n") >= 2


def test_a_paused_container_stands_still(program: Program, running: str, group: Cgroup) -> None:
    program.do("pause", running)
    assert group.frozen
    assert program.status(running) == "paused"
    assert "paused container" in program.refusal("exec", running, "true", status=255)
    assert "paused" in program.refusal("pause", running)
    program.do("resume", running)
    assert program.status(running) == "running"


def test_a_paused_container_can_be_deleted_by_force(program: Program, running: str) -> None:
    program.do("pause", running)
    program.do("delete", "--force", running)
    assert "does not exist" in program.refusal("state", running)


def test_limits_are_changed_by_options(program: Program, running: str) -> None:
    words = ["--memory=64m", "--memory-swap=64m", "--pids-limit=33", "--cpu-quota=50000"]
    program.do("update", *words, "--cpu-period=100000", "--cpu-share=512", running)
    data = _statistics(program, running)
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["pids"]["limit"] == 33


def test_a_limit_is_changed_beside_those_that_stay(
    program: Program, running: str, group: Cgroup
) -> None:
    program.do("update", "--memory=64m", running)
    program.do("update", "--memory-swap=96m", running)
    memory = group.stats().memory
    assert memory is not None
    assert memory.limit == 64 << 20
    # Of a longer period than the one that is meant where none is named.
    program.do("update", "--cpu-period=1000000", "--cpu-quota=500000", running)
    program.do("update", "--cpu-quota=700000", running)


def test_limits_are_changed_by_a_document(program: Program, running: str, tmp_path: Path) -> None:
    file = tmp_path / "resources.json"
    file.write_text(json.dumps({"memory": {"limit": 48 << 20}, "pids": {"limit": 22}}))
    program.do("update", "--resources", str(file), running)
    data = _statistics(program, running)
    assert data["memory"]["usage"]["limit"] == 48 << 20
    assert data["pids"]["limit"] == 22
    with file.open() as opened:
        program.do("update", "-r", "-", running, stdin=opened)


def test_limits_that_cannot_be_are_refused(program: Program, running: str) -> None:
    assert "is not a size" in program.refusal("update", "--memory=much", running)
    assert "is not a number" in program.refusal("update", "--pids-limit=many", running)
    assert "cpu.cpus" in program.refusal("update", "--cpuset-cpus=4095", running)
    assert "not supported" in program.refusal("update", "--l3-cache-schema=L3:0=f", running)


def test_statistics_count_what_is_used(program: Program, running: str) -> None:
    data = _statistics(program, running)
    assert data["cpu"]["usage"]["total"] > 0
    assert data["memory"]["usage"]["usage"] > 0
    assert data["pids"]["current"] == 2


def test_statistics_tell_how_long_tasks_waited(
    program: Program, running: str, group: Cgroup
) -> None:
    if group.pressure() is None:
        pytest.skip("nobody counts for how long tasks wait here")
    data = _statistics(program, running)
    for member in ("cpu", "memory", "blkio"):
        assert set(data[member]["psi"]["some"]) == {"avg10", "avg60", "avg300", "total"}


def test_events_come_until_the_container_ends(program: Program, running: str) -> None:
    called = subprocess.Popen(
        [*program.command, "events", "--interval=10ms", running],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    assert called.stdout is not None
    with called.stdout as output:
        for _ in range(3):
            assert json.loads(output.readline())["type"] == "stats"
        program.do("kill", running, "KILL")
        output.read()
        assert called.wait(30) == 0
    assert "interval" in program.refusal("events", "--interval=soon", running)


def test_a_limit_holds_from_the_beginning(program: Program, bundle: Bundle) -> None:
    bundle.document["linux"]["resources"]["pids"] = {"limit": 2}
    path = bundle.write("sh", "-c", "sleep 0.1 & sleep 0.1 & wait")
    done = program.call("run", f"--bundle={path}", "c1")
    assert "fork" in done.stderr


def test_its_own_group_is_the_top_without_a_cgroup_namespace(
    program: Program, bundle: Bundle
) -> None:
    if hierarchy().kind == "v2":
        pytest.skip("of the v2 tree alone, the container sees the host's")
    linux = bundle.document["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "cgroup"]
    path = bundle.write("sh", "-c", "cd /sys/fs/cgroup; for tree in *; do cat $tree/tasks; done")
    done = program.call("run", f"--bundle={path}", "c1")
    seen = set(done.stdout.split())
    assert "1" in seen
    assert "0" not in seen  # what a process outside the PID namespace is called


def _statistics(program: Program, container: str) -> dict[str, Any]:
    event = json.loads(program.do("events", "--stats", container))
    assert (event["type"], event["id"]) == ("stats", container)
    data: dict[str, Any] = event["data"]
    return data


def in_groups(program: Program, running: str, *options: str) -> dict[str, str]:
    """The control groups, by controller, that something executed in a container is in."""
    pid_file = program.root.parent / "pid"
    program.do("exec", "-d", f"--pid-file={pid_file}", *options, running, "sleep", "1000")
    lines = Path(f"/proc/{pid_file.read_text()}/cgroup").read_text().splitlines()
    by_names = [line.split(":", 2)[1:] for line in lines]
    return {name: path for names, path in by_names for name in names.split(",")}


@pytest.fixture
def divided(group: Cgroup) -> Cgroup:
    """The container's group, with a group ``part/of`` below it in every tree."""
    for name, directory in group.directories.items():
        os.makedirs(f"{directory}/part/of")
        if name == "cpuset":
            cpuset.prepare(directory, f"{directory}/part/of")
    return group


def test_what_is_executed_can_be_in_a_group_below(
    program: Program, running: str, divided: Cgroup
) -> None:
    found = in_groups(program, running, "--cgroup=part/of")
    names = [{"io": "blkio"}.get(name, name) for name in divided.directories]
    assert {found[name] for name in names} == {"/cellcrate-command/c1/part/of"}


def test_each_controller_can_have_its_group(
    program: Program, running: str, divided: Cgroup
) -> None:
    if "memory" not in divided.directories:
        pytest.skip("There are no v1 controllers here.")
    found = in_groups(program, running, "--cgroup=memory,pids:part/of", "--cgroup=cpu:/part")
    assert found["memory"] == found["pids"] == "/cellcrate-command/c1/part/of"
    assert found["cpu"] == "/cellcrate-command/c1/part"
    assert found["devices"] == "/cellcrate-command/c1"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("nowhere", "there is no control group"),
        ("../c2", "does not lie below"),
        ("part/../..", "does not lie below"),
        ("nosuch:part", "--cgroup: "),
    ],
)
def test_a_group_that_is_not_there_is_refused(
    program: Program, running: str, option: str, words: str
) -> None:
    refusal = program.refusal("exec", f"--cgroup={option}", running, "true", status=255)
    assert words in refusal


def test_the_program_may_have_divided_its_group(
    program: Program, running: str, divided: Cgroup
) -> None:
    """As systemd does in a container: then nobody can be in the whole group of cgroup v2."""
    if set(divided.directories) != {""}:
        pytest.skip("There are v1 controllers here.")
    top = Path(divided.directories[""])
    for pid in divided.procs():
        (top / "part/of/cgroup.procs").write_text(str(pid))
    (top / "cgroup.subtree_control").write_text("+pids")
    assert in_groups(program, running)[""] == "/cellcrate-command/c1/part/of"
    assert "cannot join" in program.refusal("exec", "--cgroup=/", running, "true", status=255)


def test_a_group_with_processes_is_not_shared(
    program: Program, running: str, bundle: Bundle
) -> None:
    for command in (["create"], ["run", "--detach"]):
        refusal = program.refusal(*command, "-b", str(bundle.folder), "c2")
        assert "container's cgroup is not empty" in refusal


def test_a_group_that_is_frozen_is_refused(program: Program, bundle: Bundle) -> None:
    bundle.document["linux"]["cgroupsPath"] = "/cellcrate-command/frozen"
    path = bundle.write("true")
    group = Cgroup.create("/cellcrate-command/frozen")
    try:
        group.freeze()
        refusal = program.refusal("create", "-b", path, "c1")
        assert "container's cgroup unexpectedly frozen" in refusal
        assert group.frozen
    finally:
        group.thaw()
        group.delete()


def test_no_tasks_are_one_task(program: Program, bundle: Bundle) -> None:
    bundle.document["linux"]["cgroupsPath"] = "/cellcrate-command/c1"
    bundle.document["linux"]["resources"]["pids"] = {"limit": 0}
    program.do("run", "-d", "-b", bundle.write("sleep", "1000"), "c1")
    limits = Cgroup.open("/cellcrate-command/c1").stats().pids
    assert limits is not None
    assert limits.limit == 1


def test_a_setting_of_v2_is_refused_where_its_controller_is_v1(
    program: Program, bundle: Bundle
) -> None:
    memory = hierarchy().controllers.get("memory")
    if memory is None or memory.version != 1:
        pytest.skip("needs the memory controller in cgroup v1")
    bundle.document["linux"]["resources"]["unified"] = {"memory.min": "131072"}
    refusal = program.refusal("create", "-b", bundle.write("true"), "c1")
    assert "invalid configuration: unified: memory.min is a setting of cgroup v2" in refusal


def test_a_deadline_and_cpus_of_its_own_do_not_go_together(
    program: Program, bundle: Bundle
) -> None:
    if len(os.sched_getaffinity(0)) < 2 or "cpuset" not in hierarchy().controllers:
        pytest.skip("needs two CPUs and the cpuset controller")
    bundle.document["linux"]["cgroupsPath"] = "/cellcrate-command/c1"
    bundle.document["linux"]["resources"]["cpu"] = {"cpus": "0"}
    scheduler = {
        "policy": "SCHED_DEADLINE",
        "runtime": 42_000,
        "deadline": 1_000_000,
        "period": 1_000_000,
    }
    path = bundle.write("true", scheduler=scheduler)
    refusal = program.refusal("create", "-b", path, "c1")
    assert "process scheduler can't be used together with AllowedCPUs" in refusal
