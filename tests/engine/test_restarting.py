"""Restart policies, back-off, signals, names and durations: pure rules."""

from __future__ import annotations

import pytest

from cellcrate_runtime.engine.api.types import LogConfig, RestartPolicy
from cellcrate_runtime.engine.errors import AmbiguousIDError, BadRequestError
from cellcrate_runtime.engine.log_options import log_file
from cellcrate_runtime.engine.names import check_name, random_name
from cellcrate_runtime.engine.restarting import BackOff, should_restart
from cellcrate_runtime.engine.signals import parse_signal


@pytest.mark.parametrize(
    ("name", "exit_code", "stopped", "restarts", "expected"),
    [
        ("no", 1, False, 0, False),
        ("always", 0, False, 100, True),
        ("always", 1, True, 0, False),
        ("unless-stopped", 0, False, 0, True),
        ("unless-stopped", 0, True, 0, False),
        ("on-failure", 0, False, 0, False),
        ("on-failure", 3, False, 1, True),
        ("on-failure", 3, False, 2, False),
        ("on-failure", 3, True, 0, False),
    ],
)
def test_should_restart(
    name: str, exit_code: int, stopped: bool, restarts: int, expected: bool
) -> None:
    policy = RestartPolicy(name=name, maximum_retry_count=2 if name == "on-failure" else 0)
    answer = should_restart(policy, exit_code=exit_code, stopped_by_user=stopped, restarts=restarts)
    assert answer is expected


def test_back_off_doubles_up_to_a_minute_and_begins_anew_after_a_long_run() -> None:
    back_off = BackOff()
    pauses = [back_off.next(ran_for=0.1) for _ in range(12)]
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert pauses[-1] == 60
    assert back_off.next(ran_for=10) == 0.1


@pytest.mark.parametrize(
    ("text", "number"),
    [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("sigusr1", 10), ("RTMIN+3", 37), ("RTMAX-1", 63)],
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "SIGBANANA", "TERM+1", "-9", "RTMIN+99", "1.5"])
def test_no_signals(text: str) -> None:
    with pytest.raises(BadRequestError, match="Invalid signal"):
        parse_signal(text)


def test_random_names_are_names_and_avoid_those_taken() -> None:
    taken: set[str] = set()
    for _ in range(500):
        name = random_name(taken.__contains__)
        assert check_name(name) == name
        assert name not in taken
        taken.add(name)


def test_log_options() -> None:
    config = LogConfig(config={"max-size": "10k", "max-file": "3"})
    found = log_file(config, "/log")
    assert (found.path, found.max_size, found.max_files) == ("/log", 10240, 3)
    assert log_file(LogConfig(type="none"), "/log").path == ""


@pytest.mark.parametrize(
    "options", [{"max-size": "1x"}, {"max-file": "0"}, {"max-file": "2"}, {"colour": "red"}]
)
def test_bad_log_options(options: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        log_file(LogConfig(config=options), "/log")


def test_ids_and_names_are_found_as_in_docker() -> None:
    from pathlib import Path

    from cellcrate_runtime.engine.api.types import ContainerConfig, HostConfig
    from cellcrate_runtime.engine.container import Container, Definition
    from cellcrate_runtime.engine.registry import Registry

    registry = Registry()
    for index, name in enumerate(["abc1", "other"]):
        definition = Definition(
            id=f"abc{index}" + "0" * 60,
            name=name,
            created=0,
            image="",
            path="",
            args=[],
            config=ContainerConfig(),
            host_config=HostConfig(),
        )
        registry.add(Container(definition, Path("/nowhere")))
    assert registry.get("abc1").name == "abc1", "a name counts more than the beginning of an id"
    assert registry.get("/other").name == "other"
    assert registry.get("abc0").name == "abc1"
    with pytest.raises(AmbiguousIDError, match="multiple IDs found with provided prefix: abc"):
        registry.get("abc")
