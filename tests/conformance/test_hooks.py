"""config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle": steps 3 to 5, 7, 9 and 13."""

from __future__ import annotations

import json
import os
import select
from typing import Any

import pytest

from conformance.box import Box

_IN_RUNTIME = ["prestart", "createRuntime", "poststart", "poststop"]
_AT_CREATE = ["prestart", "createRuntime", "createContainer"]
_ALL = [*_AT_CREATE, "startContainer", "poststart", "poststop"]


def _place(box: Box, point: str) -> str:
    """Where a hook finds the scratch folder."""
    return "/data" if point == "startContainer" else str(box.scratch)


def test_hooks_run_in_their_order(box: Box) -> None:
    """Hooks must be called in the listed order, and each kind at its time."""
    box.mount("/data", "bind", "bind")
    for point in _ALL:
        for number in (1, 2):
            box.hook(point, f"echo {point}{number} >> {_place(box, point)}/order")
    order = box.scratch / "order"
    box.create("sh", "-c", "echo program >> /data/order; exec sleep 1000")
    at_create = [f"{point}{number}" for point in _AT_CREATE for number in (1, 2)]
    assert order.read_text().split() == at_create
    box.do("start")
    while "program" not in order.read_text():
        pass
    box.end()
    after = order.read_text().split()[len(at_create) :]
    in_container = [word for word in after if not word.startswith("poststart")]
    assert in_container == ["startContainer1", "startContainer2", "program"]
    assert [word for word in after if word.startswith("post")] == ["poststart1", "poststart2"]
    box.do("delete")
    assert order.read_text().split()[-2:] == ["poststop1", "poststop2"]


def test_start_waits_for_the_hooks_before_the_program(box: Box) -> None:
    """poststart hooks come after the program is executed, and so after startContainer hooks."""
    box.mount("/data", "bind", "bind")
    box.hook("startContainer", "sleep 0.3; echo startContainer >> /data/order")
    box.hook("poststart", f"echo poststart >> {box.scratch}/order")
    box.create("sleep", "1000")
    box.do("start")
    assert (box.scratch / "order").read_text().split() == ["startContainer", "poststart"]


@pytest.fixture
def told(box: Box) -> dict[str, dict[str, Any]]:
    """The states that the hooks of one life were told; with the pid that the runtime said."""
    box.mount("/data", "bind", "bind")
    box.document["annotations"] = {"com.example.key": "value"}
    for point in _ALL:
        box.hook(point, f'echo "$state" > {_place(box, point)}/{point}')
    box.create("sleep", "1000")
    pid = box.pid
    box.start("sleep")
    box.end()
    box.do("delete")
    states = {point: json.loads((box.scratch / point).read_text()) for point in _ALL}
    return {**states, "known": {"pid": pid, "id": box.id, "bundle": str(box.folder)}}


@pytest.mark.parametrize("points", [[*_IN_RUNTIME, "createContainer"], ["startContainer"]])
def test_a_hook_is_told_the_state(told: dict[str, dict[str, Any]], points: list[str]) -> None:
    """The state must be passed over stdin; its pid is that of the namespace the hook runs in."""
    known = told["known"]
    for point in points:
        state = told[point]
        assert (state["id"], state["bundle"]) == (known["id"], known["bundle"])
        assert state["annotations"]["com.example.key"] == "value"
        assert state["ociVersion"]
        if point in ("prestart", "createRuntime", "poststart"):
            assert state["pid"] == known["pid"]


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("createRuntime", {"creating", "created"}),
        ("createContainer", {"creating", "created"}),
        ("startContainer", {"created"}),
        ("poststart", {"running"}),
        ("poststop", {"stopped"}),
    ],
)
def test_a_hook_is_told_the_status(
    told: dict[str, dict[str, Any]], point: str, expected: set[str]
) -> None:
    """State: status, by the steps of the lifecycle."""
    assert told[point]["status"] in expected


def test_hooks_in_the_runtime_namespace(box: Box) -> None:
    """prestart, createRuntime, poststart and poststop are executed in the runtime namespace."""
    kinds = ("net", "pid", "uts")
    links = " ".join(f"/proc/self/ns/{kind}" for kind in kinds)
    for point in _IN_RUNTIME:
        box.hook(point, f"readlink {links} > {box.scratch}/{point}")
    box.create("sleep", "1000")
    box.do("start")
    box.end()
    box.do("delete")
    own = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    for point in _IN_RUNTIME:
        assert (box.scratch / point).read_text().split() == own


def test_hooks_in_the_container_namespace(box: Box) -> None:
    """createContainer and startContainer are executed in the container namespace."""
    points = ("createContainer", "startContainer")
    links = " ".join(f"/proc/self/ns/{kind}" for kind in ("net", "uts", "ipc"))
    box.mount("/data", "bind", "bind")
    for point in points:
        box.hook(point, f"readlink {links} > {_place(box, point)}/{point}")
    inside = box.sh(f"readlink {links}")
    for point in points:
        assert (box.scratch / point).read_text().strip() == inside


def test_create_container_finds_its_path_outside(box: Box) -> None:
    """CreateContainer Hooks: the path resolves in the runtime namespace, before pivot_root."""
    hook = box.scratch / "hook"
    hook.write_text(f"#!/bin/sh\ncat > /dev/null; ls {box.scratch} > {box.scratch}/seen\n")
    hook.chmod(0o755)
    box.document["hooks"] = {"createContainer": [{"path": str(hook)}]}
    box.create("true")
    assert "hook" in (box.scratch / "seen").read_text()


def test_start_container_finds_its_path_inside(box: Box) -> None:
    """StartContainer Hooks: the path resolves in the container namespace."""
    (box.scratch / "hook").write_text("#!/bin/sh\ncat > /dev/null; echo ran > /data/seen\n")
    (box.scratch / "hook").chmod(0o755)
    box.mount("/data", "bind", "bind")
    box.document["hooks"] = {"startContainer": [{"path": "/data/hook"}]}
    box.create("true")
    box.do("start")
    box.output_at_end()
    assert (box.scratch / "seen").read_text() == "ran\n"


def test_create_runtime_finds_the_namespaces(box: Box) -> None:
    """CreateRuntime Hooks: the container's namespaces are made, so that they can be furnished."""
    script = 'pid=$(echo "$state" | grep -o "\\"pid\\": *[0-9]*" | grep -o "[0-9]*")'
    box.hook("createRuntime", f"{script}; readlink /proc/$pid/ns/net > {box.scratch}/link")
    box.create("sleep", "1000")
    box.do("start")  # a runtime may hide the process until its program runs
    link = (box.scratch / "link").read_text().strip()
    assert link == os.readlink(f"/proc/{box.pid}/ns/net") != os.readlink("/proc/self/ns/net")


def test_a_hook_has_its_arguments_and_environment_alone(box: Box) -> None:
    """args and env are those of execv: nothing is added, and args[0] is the first of them."""
    hook = {
        "path": "/bin/sh",
        "args": [
            "other",
            "-c",
            f"cat > /dev/null; echo $0 $@ > {box.scratch}/args; env > {box.scratch}/env",
            "a",
            "b c",
        ],
        "env": ["WORD=there", "PATH=/usr/bin:/bin"],
    }
    box.document["hooks"] = {"createRuntime": [hook]}
    box.create("true")
    assert (box.scratch / "args").read_text() == "a b c\n"
    variables = {line.partition("=")[0] for line in (box.scratch / "env").read_text().splitlines()}
    # The shell itself adds the others.
    assert variables - {"PWD", "OLDPWD", "SHLVL", "_"} == {"WORD", "PATH"}


@pytest.mark.parametrize("point", _AT_CREATE)
def test_a_hook_that_fails_ends_create(box: Box, point: str) -> None:
    """Lifecycle, steps 3 to 5: an error, the container is stopped, and it goes on at step 12."""
    box.hook(point, "exit 3")
    box.hook(point, f"touch {box.scratch}/next")
    box.refuse("true")
    assert not (box.scratch / "next").exists()


def test_the_program_does_not_run_after_a_start_hook_that_failed(box: Box) -> None:
    """Lifecycle, step 7: the container is stopped."""
    box.mount("/data", "bind", "bind")
    box.hook("startContainer", "exit 3")
    box.create("touch", "/data/ran")
    pidfd = os.pidfd_open(box.pid)
    box.operate("start")
    assert select.select([pidfd], [], [], 30)[0], "it does not end"
    os.close(pidfd)
    assert not (box.scratch / "ran").exists()


def test_a_start_hook_that_fails_is_an_error_of_start(box: Box) -> None:
    """Lifecycle, step 7."""
    box.hook("startContainer", "exit 3")
    box.create("true")
    assert box.operate("start").returncode != 0


@pytest.mark.since((1, 2))  # before, it was a warning
def test_a_poststart_hook_that_fails_ends_the_container(box: Box) -> None:
    """Lifecycle, step 9: an error, the container is stopped, and it goes on at step 12."""
    box.hook("poststart", "exit 3")
    box.create("sleep", "1000")
    assert box.operate("start").returncode != 0
    state = box.operate("state")
    assert state.returncode != 0 or json.loads(state.stdout)["status"] == "stopped"


def test_a_poststop_hook_that_fails_is_passed_over(box: Box) -> None:
    """Lifecycle, step 13: a warning, and the rest goes on as if it had succeeded."""
    box.hook("poststop", "exit 3")
    box.hook("poststop", f"touch {box.scratch}/next")
    box.create("true")
    box.do("start")
    box.output_at_end()
    box.do("delete")
    assert (box.scratch / "next").exists()
    assert box.left() == []


def test_a_hook_that_takes_too_long_is_aborted(box: Box) -> None:
    """timeout: the number of seconds before the hook is aborted."""
    box.hook("createRuntime", "exec sleep 1000", timeout=1)
    box.refuse("true")


@pytest.mark.parametrize(
    "wrong", [{"path": "relative"}, {"path": "/bin/true", "timeout": 0}, {"args": ["a"]}]
)
def test_a_hook_that_cannot_be_is_refused(box: Box, wrong: dict[str, object]) -> None:
    """path is required and must be absolute; timeout must be greater than zero."""
    box.document["hooks"] = {"createRuntime": [wrong]}
    box.refuse("true")
