"""What the docker command shows: ps, stats, top, events, inspect, info, version."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest


def names(docker: Any, *arguments: str) -> set[str]:
    return set(docker("ps", "--format", "{{.Names}}", *arguments).split())


def test_ps(docker: Any, box: Any) -> None:
    name = box("--label", "tier=front")
    docker.run("run", "--name", "over", docker.image, "sh", "-c", "exit 3")
    (line,) = docker("ps", "--format", "{{.Names}}|{{.Image}}|{{.Command}}|{{.Status}}").split("\n")
    shown_name, image, command, status = line.split("|")
    assert (shown_name, image) == (name, docker.image)
    assert command.strip('"') == "sleep 1000"
    assert status.startswith("Up ")
    assert names(docker, "-a") == {name, "over"}
    assert docker("ps", "-a", "--filter", "name=over", "--format", "{{.Status}}").startswith(
        "Exited (3) "
    )


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (("name=bo",), {"box0"}),
        (("name=^over$",), {"over"}),
        (("status=exited",), {"over"}),
        (("status=running",), {"box0"}),
        (("exited=3",), {"over"}),
        (("label=tier",), {"box0"}),
        (("label=tier=back",), set()),
        (("ancestor=cellcrate/base",), {"box0", "over"}),
        (("label=tier", "status=exited"), set()),
        (("before=over",), {"box0"}),
        (("since=box0",), {"over"}),
    ],
)
def test_ps_filters(docker: Any, box: Any, filters: tuple[str, ...], found: set[str]) -> None:
    box("--label", "tier=front")
    docker.run("run", "--name", "over", docker.image, "sh", "-c", "exit 3")
    options = [word for text in filters for word in ("--filter", text)]
    assert names(docker, "-a", *options) == found


def test_ps_size_and_last(docker: Any, box: Any) -> None:
    name = box()
    docker("exec", name, "sh", "-c", "head -c 100000 /dev/zero > /file")
    size = docker("ps", "-s", "--format", "{{.Size}}")
    assert size.startswith(("100kB", "101kB", "102kB", "103kB", "104kB", "106kB"))
    docker("create", "--name", "newest", docker.image)
    assert names(docker, "-l") == {"newest"}
    assert names(docker, "-n", "2") == {"newest", name}


@pytest.mark.parametrize("filters", ["colour=red", "status=sleeping"])
def test_a_filter_that_there_is_not(docker: Any, filters: str) -> None:
    done = docker.run("ps", "--filter", filters)
    assert done.returncode == 1
    assert "invalid filter" in done.stderr.lower()


def test_stats(docker: Any, box: Any) -> None:
    busy = box(command=("sh", "-c", "while :; do :; done"))
    idle = box()
    lines = docker("stats", "--no-stream", "--format", "{{json .}}", busy, idle).splitlines()
    shown = {line["Name"]: line for line in map(json.loads, lines)}
    assert float(shown[busy]["CPUPerc"].rstrip("%")) > 5
    assert float(shown[idle]["CPUPerc"].rstrip("%")) < 5
    assert not shown[idle]["MemUsage"].startswith("0B")
    assert int(shown[idle]["PIDs"]) == 2  # the init of --init, and sleep
    assert shown[idle]["NetIO"].endswith("/ 0B")


def test_stats_go_on_while_containers_come_and_go(docker: Any, box: Any) -> None:
    first = box()
    terminal = docker.terminal("stats", "--format", "{{.Name}} {{.PIDs}};")
    terminal.expect(f"{first} 2;")
    second = box()
    terminal.expect(f"{second} 2;")
    docker("kill", first)
    terminal.close()


def commands(docker: Any, name: str) -> list[str]:
    """Return the command lines of a container's processes, the shortest last."""
    rows = docker("top", name).splitlines()[1:]
    return sorted((row.split(maxsplit=7)[7] for row in rows), key=lambda c: (-len(c), c))


def test_top(docker: Any, box: Any) -> None:
    name = box(command=("sh", "-c", "sleep 500 & sleep 600"))
    assert docker("top", name).split()[:2] == ["UID", "PID"]
    docker.eventually(lambda: commands(docker, name)[-2:] == ["sleep 500", "sleep 600"])
    assert len(commands(docker, name)) == 4  # with the init of --init, and the shell
    columns = docker("top", name, "-o", "pid,comm", "-e").splitlines()
    assert columns[0].split() == ["PID", "COMMAND"]
    assert sorted(row.split()[1] for row in columns[1:])[-2:] == ["sleep", "sleep"]
    bad = docker.run("top", name, "-o", "bananas")
    assert bad.returncode == 1
    docker("kill", name)
    ended = docker.run("top", name)
    assert ended.returncode == 1
    assert "is not running" in ended.stderr


def test_events_as_they_happen(docker: Any) -> None:
    watching = docker.start(
        "events", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    )
    time.sleep(0.5)  # until it listens, which it does not say
    docker("run", "--rm", "--name", "seen", docker.image, "true")
    seen = []
    while not seen or "destroy" not in seen[-1]:
        seen.append(watching.stdout.readline().strip())
    wanted = ("create", "attach", "start", "die", "destroy")
    assert [line.split()[1] for line in seen if line.split()[1] in wanted] == list(wanted)
    assert all(line.endswith(" seen") for line in seen if line.startswith("container"))


def test_events_of_the_past(docker: Any, box: Any) -> None:
    name = box("--label", "a=b")
    docker("exec", name, "true")
    docker("kill", name)
    docker("wait", name)
    container = docker("inspect", "--format", "{{.Id}}", name)
    until = f"{time.time():.9f}"
    options = ("--since", "10m", "--until", until, "--format", "{{json .}}", "--filter")
    events = [
        json.loads(e) for e in docker("events", *options, f"container={container}").splitlines()
    ]
    actions = [event["Action"].strip() for event in events]
    for action in ("create", "start", "exec_create: true", "exec_start: true", "exec_die"):
        assert action in actions
    assert actions.index("kill") < actions.index("die")
    died = events[actions.index("die")]["Actor"]["Attributes"]
    assert died["exitCode"] == "137"
    assert died["a"] == "b"
    assert events[actions.index("kill")]["Actor"]["Attributes"]["signal"] == "9"
    starts = docker("events", *options, "event=start", "--filter", "label=a=b").splitlines()
    assert len(starts) >= 1


def test_inspect_of_what_runs(docker: Any, box: Any) -> None:
    name = box()
    (shown,) = json.loads(docker("inspect", name))
    assert shown["State"]["Status"] == "running"
    assert shown["State"]["Pid"] > 0
    assert shown["State"]["StartedAt"].startswith("20")
    assert shown["Config"]["Image"] == docker.image
    assert shown["Image"].startswith("sha256:")
    assert docker("inspect", "--size", "--format", "{{.SizeRootFs}}", name) != "0"
    missing = docker.run("inspect", "no-such-container")
    assert missing.returncode == 1
    assert "no-such-container" in missing.stderr


def test_version_and_info(docker: Any, box: Any) -> None:
    box()
    version = json.loads(docker("version", "--format", "{{json .Server}}"))
    assert version["Os"] == "linux"
    assert version["Platform"]["Name"] == "Cellcrate"
    assert docker("version")
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert info["ContainersRunning"] == 1
    assert info["NCPU"] >= 1
    assert info["CgroupVersion"] in ("1", "2")
    assert "name=seccomp,profile=builtin" in info["SecurityOptions"]
    plain = docker.run("info")
    assert plain.returncode == 0
    assert "Running: 1" in plain.stdout
    assert "seccomp" in plain.stdout


def test_disk_usage(docker: Any, box: Any) -> None:
    name = box()
    docker("exec", name, "sh", "-c", "head -c 1000000 /dev/zero > /file")
    rows = docker("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Size}}").splitlines()
    shown = {row.split("|")[0]: row.split("|")[1:] for row in rows}
    assert shown["Containers"][0] == "1"
    assert shown["Containers"][1].startswith("1")
    assert shown["Containers"][1].endswith("MB")
    assert shown["Images"][0] != "0"
    assert docker("system", "df", "-v")
