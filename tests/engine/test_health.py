"""Health checks: what counts, and when."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

MILLISECOND = 1_000_000


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.02)


@pytest.fixture
def start(engine: Any) -> Callable[..., None]:
    """Return a function that starts the container `patient` with a health check."""

    def run(test: list[str], **times: int) -> None:
        body = {
            "Image": engine.image,
            "Cmd": ["sleep", "1000"],
            "Healthcheck": {"Test": test, **times},
        }
        path = "/containers/create?name=patient"
        assert engine.request("POST", path, json.dumps(body).encode()).status == 201
        assert engine.request("POST", "/containers/patient/start").status == 204

    return run


def health(engine: Any) -> Any:
    return engine.client.api.inspect_container("patient")["State"].get("Health")


def test_failures_do_not_count_while_a_program_starts(engine: Any, start: Any) -> None:
    start(
        ["CMD-SHELL", "test -e /well"],
        Interval=3_600_000 * MILLISECOND,
        Retries=1,
        StartPeriod=3_600_000 * MILLISECOND,
        StartInterval=50 * MILLISECOND,
    )
    until(lambda: len(health(engine)["Log"]) >= 3)
    assert health(engine)["Status"] == "starting"
    assert health(engine)["FailingStreak"] == 0
    engine.client.containers.get("patient").exec_run(["touch", "/well"])
    until(lambda: health(engine)["Status"] == "healthy")


def test_a_program_without_a_shell(engine: Any, start: Any) -> None:
    start(["CMD", "echo", "$HOME"], Interval=50 * MILLISECOND)
    until(lambda: health(engine)["Status"] == "healthy")
    result = health(engine)["Log"][-1]
    assert (result["ExitCode"], result["Output"]) == (0, "$HOME\n")
    assert result["Start"] < result["End"]


def test_a_check_that_is_not_there(engine: Any, start: Any) -> None:
    start(["CMD", "no-such-check"], Interval=50 * MILLISECOND, Retries=1)
    until(lambda: health(engine)["Status"] == "unhealthy")
    result = health(engine)["Log"][-1]
    assert result["ExitCode"] == 127
    assert "no-such-check" in result["Output"]


def test_long_output_is_cut(engine: Any, start: Any) -> None:
    start(["CMD-SHELL", "seq 100000"], Interval=50 * MILLISECOND)
    until(lambda: health(engine)["Log"])
    output = health(engine)["Log"][-1]["Output"]
    assert output.startswith("1\n2\n3\n")
    assert output.endswith("...")
    assert len(output) == 4096 + 3


@pytest.mark.parametrize("test", [["NONE"], []])
def test_no_check_no_health(engine: Any, start: Any, test: list[str]) -> None:
    start(test)
    assert health(engine) is None


def test_checks_end_with_their_container_and_leave_no_execs(engine: Any, start: Any) -> None:
    start(["CMD-SHELL", "sleep 1000"], Interval=50 * MILLISECOND)
    inspect = engine.client.api.inspect_container
    until(lambda: inspect("patient")["ExecIDs"])
    engine.client.containers.get("patient").kill()
    known = len(health(engine)["Log"])
    assert inspect("patient")["ExecIDs"] is None
    time.sleep(0.3)
    assert len(health(engine)["Log"]) == known
    assert "ERROR" not in engine.log
