"""Traces of starts: what they say is what the kernel, and strace, say of the same container."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.engine import traces
from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux import capabilities, namespaces
from cellcrate_runtime.linux.cgroups import Cgroup, hierarchy

from .conftest import RunningEngine, eventually, runs
from .traced import EMBEDDED, LIMITS, MORE, created, last, pid_of, steps, trace_of

WATCHED = [
    name
    for name in ("runc", "crun", "cellcrate-oci")
    if shutil.which("strace") and (name == "cellcrate-oci" or shutil.which(name))
]
SECRET = "open-sesame"


@pytest.fixture(params=[EMBEDDED, *WATCHED])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn."""
    name = str(request.param)
    if name != EMBEDDED and not hierarchy().writable:
        pytest.skip("this user can make no control groups, which other runtimes need")
    return name


@pytest.fixture
def create(engine: RunningEngine, runtime: str) -> Callable[..., Any]:
    """Create a container whose starts are traced."""

    def make(command: list[str], **options: Any) -> Any:
        return created(engine, command, runtime=runtime, **options)

    return make


# -- the kernel says the same ---------------------------------------------------------------------


def test_namespaces(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sleep", "1000"])
    container.start()
    trace, pid = trace_of(engine, container), pid_of(container)
    made = {step["Target"] for step in steps(trace, "namespaces") if step["Detail"] == "new"}
    assert {"mount", "pid", "network", "uts", "ipc"} <= made
    for type_ in made:
        file = namespaces.FILES[type_]
        assert not os.path.samefile(f"/proc/self/ns/{file}", f"/proc/{pid}/ns/{file}"), type_
    mapping = Path(f"/proc/{pid}/uid_map").read_text().split()
    if "user" in made:
        inside, outside, size = map(int, mapping)
        assert last(trace, "namespaces", "uid_map") == (
            f"{inside} to {inside + size - 1} are {outside} to {outside + size - 1} outside"
        )
    assert last(trace, "namespaces", "host name") == container.id[:12]


def test_mounts(engine: RunningEngine, create: Callable[..., Any], tmp_path: Path) -> None:
    """What is mounted in the container was seen being mounted, all of it and nothing else."""
    container = create(["sleep", "1000"], binds=[f"{tmp_path}:/volume:ro"], tmpfs={"/fast": ""})
    container.start()
    trace = trace_of(engine, container)
    there = mounted(pid_of(container))
    said = {
        step["Target"]: step["Detail"]
        for step in trace["Steps"]
        if step["By"] != "shim" or step["Target"] == "/dev/null"
        if step["Subject"] in ("mounts", "devices", "protected paths")
        if step["Target"].startswith("/") and is_of_a_mount(step["Detail"])
    }
    nodes = {target for target, detail in said.items() if detail.startswith("character")}
    in_container = {target for target in said if not target.startswith(("/tmp/", "/mnt"))} - nodes
    assert set(there) - {"/dev/console"} == in_container
    for target, (type_, options) in there.items():
        detail = said.get(target, "")
        if target.startswith("/proc/") and "over itself" in detail:
            assert "ro" in options
        elif re.match(r"(proc|tmpfs|sysfs|devpts|mqueue)\b", detail):
            assert detail.startswith(type_)
    assert str(tmp_path) in said["/volume"]
    assert "ro" in there["/volume"][1]


def is_of_a_mount(detail: str) -> bool:
    """Whether something is mounted there since, and not only changed or taken away."""
    return not detail.startswith(("propagation", "changed", "unmounted"))


def mounted(pid: int) -> dict[str, tuple[str, list[str]]]:
    """The type and the options of what a process has mounted where."""
    found = {}
    for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place, options = before.split()[4:6]
        found[place] = (after.split()[0], options.split(","))
    return found


@pytest.mark.usefixtures("limits")
def test_control_group(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sleep", "1000"], **LIMITS)
    container.start()
    trace = trace_of(engine, container)
    groups = Cgroup.open(f"/cellcrate/{container.id}").directories.values()
    checked = 0
    for step in steps(trace, "control group"):
        folder, _, file = step["Target"].rpartition("/")
        if file in ("memory.max", "memory.limit_in_bytes", "pids.max"):
            found = [
                path.read_text().strip()
                for path in (Path(group, file) for group in groups)
                if folder in str(path) and path.exists()
            ]
            assert last(trace, "control group", step["Target"]) in found
            checked += 1
    assert checked >= 2
    joined = [step for step in steps(trace, "control group") if "joins" in step["Detail"]]
    assert hierarchy().unified is not None or joined


def test_rights(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sleep", "1000"], **MORE)
    container.start()
    trace, pid = trace_of(engine, container), pid_of(container)
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    dropped = last(trace, "rights", "bounding set").removeprefix("without ").split(", ")
    kept = int(status["CapBnd"], 16)
    names = capabilities.NAMES[: capabilities.last() + 1]
    assert {f"CAP_{name}" for name in dropped} == {
        name for number, name in enumerate(names) if not kept >> number & 1
    }
    effective = re.search(r"effective: ([^;]*)", last(trace, "rights", "capabilities"))
    assert effective is not None
    assert capabilities.mask(f"CAP_{name}" for name in effective[1].split(", ")) == int(
        status["CapEff"], 16
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert last(trace, "rights", "no_new_privs") == "set"
    assert last(trace, "rights", "seccomp filter").startswith("loaded")
    assert last(trace, "rights", "RLIMIT_NOFILE") == "200, at most 300"
    limits = Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"Max open files +200 +300 ", limits)


def test_order_and_program(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sh", "-c", "exec sleep 1000"], sysctls={"net.ipv4.ip_forward": "1"})
    container.start()
    trace = trace_of(engine, container)
    times = [step["Time"] for step in trace["Steps"]]
    assert times == sorted(times)
    assert times[0] >= 0
    order = [(step["Subject"], step["Target"]) for step in trace["Steps"]]
    places = [
        order.index(step)
        for step in (
            ("namespaces", "network"),
            ("mounts", "/proc"),
            ("mounts", "root"),
            ("rights", "bounding set"),
            ("rights", "seccomp filter"),
        )
    ]
    assert places == sorted(places)
    assert trace["Steps"][-1]["Call"] == "execve"
    assert trace["Steps"][-1]["Detail"] == "sh -c 'exec sleep 1000'"
    assert last(trace, "kernel parameters", "net.ipv4.ip_forward") == "1"


def test_nobody_is_watched_afterwards(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"])
    container.start()
    pid = pid_of(container)
    assert "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text()
    assert container.exec_run(["echo", "here"]).output == b"here\n"
    eventually(lambda: b"up" in container.logs())
    container.stop()
    assert container.wait()["StatusCode"] == 7
    assert not runs(pid)


# -- what can go wrong ----------------------------------------------------------------------------


def test_a_start_that_fails(engine: RunningEngine, create: Callable[..., Any]) -> None:
    """The trace says how far it came."""
    container = create(["no-such-program"])
    with pytest.raises(docker.errors.APIError):
        container.start()
    trace = trace_of(engine, container)
    assert "no-such-program" in trace["Error"]
    assert ("mounts", "/proc") in {(s["Subject"], s["Target"]) for s in trace["Steps"]}


def test_secrets_are_not_in_it(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sleep", "1000"], environment={"PASSWORD": SECRET})
    container.start()
    assert SECRET not in json.dumps(trace_of(engine, container))
    files = [path for path in (engine.paths.run / "c" / container.id).rglob("*") if path.is_file()]
    # The bundle that another runtime reads is there with or without a trace.
    kept = [path for path in files if path.name not in ("config.json", "state.json")]
    assert not [path for path in kept if SECRET.encode() in path.read_bytes()]


def test_each_start_has_its_own(engine: RunningEngine, create: Callable[..., Any]) -> None:
    container = create(["sleep", "1000"])
    container.start()
    first = trace_of(engine, container)
    container.restart(timeout=0)
    again = trace_of(engine, container)
    assert [s["Time"] for s in first["Steps"]] != [s["Time"] for s in again["Steps"]]
    assert {(s["Subject"], s["Target"]) for s in steps(first, "protected paths")} == {
        (s["Subject"], s["Target"]) for s in steps(again, "protected paths")
    }


def test_what_was_not_traced(engine: RunningEngine) -> None:
    container = engine.run(["sleep", "1000"])
    answer = engine.request("GET", f"/containers/{container.id}/trace")
    assert answer.status == 409
    assert "docker run --annotation org.cellcrate.trace=true" in answer.message
    assert not list((engine.paths.containers / container.id).glob("trace*"))


def test_what_has_not_been_started(engine: RunningEngine) -> None:
    container = created(engine, ["true"], EMBEDDED)
    answer = engine.request("GET", f"/containers/{container.id}/trace")
    assert answer.status == 409
    assert "not been started" in answer.message
    assert engine.request("GET", "/containers/nope/trace").status == 404


def test_a_word_that_is_neither_yes_nor_no(engine: RunningEngine) -> None:
    host = engine.client.api.create_host_config()
    host["Annotations"] = {"org.cellcrate.trace": "please"}
    with pytest.raises(docker.errors.APIError, match="must be true or false"):
        engine.client.api.create_container(engine.image, ["true"], host_config=host)
    assert not engine.containers()


def test_without_strace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    asked = {traces.ANNOTATION: "true"}
    traces.check(HostConfig(annotations=asked, runtime=EMBEDDED))
    traces.check(HostConfig(runtime="runc"))
    with pytest.raises(BadRequestError, match="apt-get install strace"):
        traces.check(HostConfig(annotations=asked, runtime="runc"))
