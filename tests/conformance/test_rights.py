"""config.md, "Linux Process" and "POSIX process": capabilities, privileges, limits, scores."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conformance.box import Box

_SETS = {
    "bounding": "CapBnd",
    "effective": "CapEff",
    "inheritable": "CapInh",
    "permitted": "CapPrm",
    "ambient": "CapAmb",
}
_CHOWN, _KILL = 1 << 0, 1 << 5


def _sets(box: Box) -> dict[str, int]:
    """The five sets of the program."""
    lines = box.sh("grep ^Cap /proc/self/status").splitlines()
    found = dict(line.split() for line in lines)
    return {name: int(found[f"{field}:"], 16) for name, field in _SETS.items()}


def test_no_capabilities(box: Box) -> None:
    """capabilities: those that are kept; a set that is not named is empty."""
    box.process["capabilities"] = {}
    assert set(_sets(box).values()) == {0}


def test_each_set_is_its_own(box: Box) -> None:
    """capabilities: five arrays."""
    # As root, execve(2) makes the effective and permitted sets of the bounding one.
    box.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
    }
    both = _CHOWN | _KILL
    expected = {"bounding": both, "permitted": both, "effective": both}
    assert _sets(box) == {**expected, "inheritable": _CHOWN, "ambient": 0}


@pytest.mark.root
def test_ambient_capabilities_reach_another_user(box: Box) -> None:
    """ambient: they outlive execve(2) of a user who is not root."""
    every = {key: ["CAP_CHOWN"] for key in _SETS}
    box.process.update(user={"uid": 1000, "gid": 1000}, capabilities=every)
    assert set(_sets(box).values()) == {_CHOWN}
    del box.process["capabilities"]["ambient"]
    assert _sets(box) == {**dict.fromkeys(_SETS, 0), "bounding": _CHOWN, "inheritable": _CHOWN}


def test_a_capability_that_is_not_known_is_passed_over(box: Box) -> None:
    """capabilities: one that cannot be granted is a warning, and no error."""
    both = ["CAP_CHOWN", "CAP_NONSENSE"]
    box.process["capabilities"] = {"bounding": both, "permitted": both, "effective": both}
    assert _sets(box)["effective"] == _CHOWN


@pytest.mark.parametrize("asked", [True, False])
def test_no_new_privileges(box: Box, asked: bool) -> None:
    """noNewPrivileges."""
    box.process["noNewPrivileges"] = asked
    assert box.sh("grep NoNewPrivs /proc/self/status").split()[1] == str(int(asked))


def test_limits_of_the_process(box: Box) -> None:
    """rlimits: soft and hard are what getrlimit(3) returns."""
    limits = {
        ("RLIMIT_NOFILE", "Max open files"): (100, 200),
        ("RLIMIT_CORE", "Max core file size"): (0, 0),
        ("RLIMIT_FSIZE", "Max file size"): (1 << 20, 1 << 30),
        ("RLIMIT_STACK", "Max stack size"): (1 << 22, 1 << 23),
        ("RLIMIT_CPU", "Max cpu time"): (50, 60),
        ("RLIMIT_AS", "Max address space"): (1 << 32, 1 << 33),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size"): (1000, 2000),
    }
    box.process["rlimits"] = [
        {"type": type_, "soft": soft, "hard": hard} for (type_, _), (soft, hard) in limits.items()
    ]
    lines = box.sh("cat /proc/self/limits").splitlines()
    for (_, name), (soft, hard) in limits.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.removeprefix(name).split()[:2] == [str(soft), str(hard)]


@pytest.mark.parametrize(
    "limits",
    [
        [{"type": "RLIMIT_NONSENSE", "soft": 1, "hard": 1}],
        [{"type": "NOFILE", "soft": 1, "hard": 1}],
        [
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_CORE", "soft": 1, "hard": 1},
        ],
        [{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 200}],
    ],
)
def test_a_limit_that_cannot_be_is_refused(box: Box, limits: list[dict[str, object]]) -> None:
    """rlimits: no unknown type, and none twice; a soft limit is not above the hard one."""
    box.process["rlimits"] = limits
    box.refuse("true")


def test_a_score_of_the_oom_killer(box: Box) -> None:
    """oomScoreAdj: is what oom_score_adj must be."""
    box.process["oomScoreAdj"] = 321
    assert box.sh("cat /proc/self/oom_score_adj") == "321"


def test_a_score_that_is_not_given_is_not_changed(box: Box) -> None:
    """oomScoreAdj: without it the score must not be changed."""
    own = Path("/proc/self/oom_score_adj").read_text().strip()
    assert box.sh("cat /proc/self/oom_score_adj") == own


@pytest.mark.since((1, 2))
def test_a_scheduler(box: Box) -> None:
    """scheduler: policy and nice."""
    box.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    box.create("sleep", "1000")
    box.start("sleep")
    assert os.sched_getscheduler(box.pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, box.pid) == 5


@pytest.mark.since((1, 2))
def test_a_scheduler_that_cannot_be_is_refused(box: Box) -> None:
    """scheduler: policy is required, and one of the list."""
    box.process["scheduler"] = {"policy": "SCHED_NONSENSE"}
    box.refuse("true")


@pytest.mark.since((1, 2))
def test_a_priority_of_input_and_output_that_cannot_be_is_refused(box: Box) -> None:
    """ioPriority: class and priority are of the list and from 0 to 7."""
    box.process["ioPriority"] = {"class": "IOPRIO_CLASS_NONSENSE", "priority": 4}
    box.refuse("true")
