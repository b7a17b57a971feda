"""The life of a container: create, start, wait, stop, kill, pause, restart, rename, remove."""

from __future__ import annotations

import threading
import time
from typing import Any

import docker
import pytest

from .conftest import RunningEngine, eventually

FOREVER = ["sleep", "1000"]
# A shell is PID 1, for which the kernel ignores signals without a handler: it must set one.
OBEDIENT = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]


def ready(container: Any) -> Any:
    """Wait until a container says that it is ready."""
    eventually(lambda: b"ready" in container.logs(), "the container is ready")
    return container


def state(container: Any) -> dict[str, Any]:
    container.reload()
    found: dict[str, Any] = container.attrs["State"]
    return found


def events(engine: RunningEngine, container: Any) -> list[str]:
    """What happened to a container, in order."""
    return [event["Action"] for event in engine.events(container=container.id)]


def test_output_and_exit_status(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert container.wait() == {"StatusCode": 3}
    assert container.logs(stderr=False) == b"out\n"
    assert container.logs(stdout=False) == b"err\n"
    found = state(container)
    assert (found["Status"], found["ExitCode"], found["Pid"]) == ("exited", 3, 0)
    assert found["StartedAt"] < found["FinishedAt"]


def test_events_of_a_life(engine: RunningEngine) -> None:
    container = engine.run(["true"])
    container.wait()
    container.remove()
    assert events(engine, container) == ["create", "start", "die", "destroy"]


def test_a_program_that_is_missing(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["no-such-program"])
    with pytest.raises(docker.errors.APIError, match="no-such-program") as error:
        container.start()
    assert error.value.status_code == 400
    assert "executable file not found in $PATH" in str(error.value)
    found = state(container)
    assert (found["Status"], found["ExitCode"]) == ("created", 127)
    assert "no-such-program" in found["Error"]


def test_a_program_that_is_not_executable(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["/etc/passwd"])
    with pytest.raises(docker.errors.APIError, match="permission denied"):
        container.start()
    assert state(container)["ExitCode"] == 126


def test_a_user_that_is_missing(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["true"], user="nobody-here")
    with pytest.raises(docker.errors.APIError, match="nobody-here"):
        container.start()
    assert state(container)["Status"] == "created"


def test_a_start_that_failed_can_be_tried_again(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["/later"])
    with pytest.raises(docker.errors.APIError):
        container.start()
    import io
    import tarfile

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("later")
        content = b"#!/bin/sh\necho here\n"
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    container.put_archive("/", archive.getvalue())
    container.start()
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"here\n"


def test_start_twice_is_no_error(engine: RunningEngine) -> None:
    container = engine.run(FOREVER)
    assert engine.request("POST", f"/containers/{container.id}/start").status == 304


def test_stop_asks_first(engine: RunningEngine) -> None:
    container = ready(engine.run(OBEDIENT))
    container.stop()
    assert state(container)["ExitCode"] == 5
    assert events(engine, container)[-3:] == ["kill", "die", "stop"]


def test_stop_kills_what_does_not_obey(engine: RunningEngine) -> None:
    container = ready(engine.run(STUBBORN))
    container.stop(timeout=0)
    assert state(container)["ExitCode"] == 137


def test_stop_with_another_signal(engine: RunningEngine) -> None:
    container = ready(
        engine.run(
            ["sh", "-c", "trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done"],
            stop_signal="SIGUSR1",
        )
    )
    container.stop()
    assert state(container)["ExitCode"] == 6


def test_stop_of_what_does_not_run_is_no_error(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["true"])
    assert engine.request("POST", f"/containers/{container.id}/stop").status == 304


def test_kill(engine: RunningEngine) -> None:
    container = engine.run(FOREVER)
    container.kill()
    assert container.wait()["StatusCode"] == 137
    with pytest.raises(docker.errors.APIError, match="is not running") as error:
        container.kill()
    assert error.value.status_code == 409


def test_kill_with_a_signal(engine: RunningEngine) -> None:
    container = ready(engine.run(OBEDIENT))
    container.kill("SIGTERM")
    assert container.wait()["StatusCode"] == 5


def test_kill_while_stop_waits(engine: RunningEngine) -> None:
    container = ready(engine.run(STUBBORN))
    stopping = threading.Thread(target=container.stop, kwargs={"timeout": 60})
    stopping.start()
    eventually(lambda: "kill" in events(engine, container))
    container.kill()
    stopping.join(timeout=20)
    assert not stopping.is_alive()
    assert state(container)["ExitCode"] == 137


def test_restart(engine: RunningEngine) -> None:
    container = ready(engine.run(OBEDIENT))
    first = state(container)["Pid"]
    container.restart()
    found = state(container)
    assert found["Running"]
    assert found["Pid"] != first
    assert events(engine, container)[-5:] == ["kill", "die", "stop", "start", "restart"]


def test_restart_of_what_does_not_run_starts_it(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, FOREVER)
    container.restart()
    assert state(container)["Running"]


def test_files_stay_from_one_run_to_the_next(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "cat /kept 2>/dev/null; echo x >> /kept"])
    container.wait()
    container.start()
    container.wait()
    assert container.logs() == b"x\n"


def test_rename(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["true"], name="before")
    other = engine.client.containers.create(engine.image, ["true"], name="taken")
    with pytest.raises(docker.errors.APIError, match='"/taken" is already in use') as error:
        container.rename("taken")
    assert error.value.status_code == 409
    container.rename("after")
    assert engine.client.containers.get("after").id == container.id
    with pytest.raises(docker.errors.NotFound):
        engine.client.containers.get("before")
    other.rename("before")


def test_a_name_in_use_creates_nothing(engine: RunningEngine) -> None:
    engine.client.containers.create(engine.image, ["true"], name="mine")
    with pytest.raises(docker.errors.APIError, match='name "/mine" is already in use'):
        engine.client.containers.create(engine.image, ["true"], name="mine")
    assert len(list(engine.paths.containers.iterdir())) == 1


def test_remove_of_what_runs_needs_force(engine: RunningEngine) -> None:
    container = engine.run(FOREVER)
    with pytest.raises(docker.errors.APIError, match="stop the container before removing"):
        container.remove()
    container.remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        container.reload()
    eventually(lambda: not list(engine.paths.containers.iterdir()))


def test_removed_by_itself(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "read line; exit 4"], auto_remove=True, stdin_open=True)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(container.wait(condition="removed")))
    waiting.start()
    container.kill()
    waiting.join(timeout=20)
    assert results == [{"StatusCode": 137}]
    with pytest.raises(docker.errors.NotFound):
        container.reload()


def test_wait_for_the_next_exit(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["sh", "-c", "exit 9"])
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(container.wait(condition="next-exit")))
    waiting.start()
    assert container.wait() == {"StatusCode": 0}, "not-running: it does not run yet"
    container.start()
    waiting.join(timeout=20)
    assert results == [{"StatusCode": 9}]


def test_wait_for_nonsense(engine: RunningEngine) -> None:
    container = engine.client.containers.create(engine.image, ["true"])
    answer = engine.request("POST", f"/containers/{container.id}/wait?condition=rain")
    assert (answer.status, "invalid condition" in answer.message) == (400, True)


@pytest.mark.usefixtures("limits")
def test_oom_kill_is_told(engine: RunningEngine) -> None:
    script = "x=x; while :; do x=$x$x; done"
    container = engine.run(["sh", "-c", script], mem_limit="16m", memswap_limit="16m")
    assert container.wait()["StatusCode"] == 137
    assert state(container)["OOMKilled"]
    assert "oom" in events(engine, container)


@pytest.mark.usefixtures("limits")
def test_pause_and_unpause(engine: RunningEngine) -> None:
    container = engine.run(FOREVER)
    container.pause()
    assert state(container)["Status"] == "paused"
    with pytest.raises(docker.errors.APIError, match="already paused"):
        container.pause()
    with pytest.raises(docker.errors.APIError, match="cannot start a paused container"):
        container.start()
    container.unpause()
    assert state(container)["Status"] == "running"
    with pytest.raises(docker.errors.APIError, match="is not paused"):
        container.unpause()


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("way", ["stop", "kill", "remove"])
def test_what_is_paused_can_be_ended(engine: RunningEngine, way: str) -> None:
    container = engine.run(FOREVER)
    container.pause()
    options = {"stop": {"timeout": 0}, "kill": {}, "remove": {"force": True}}
    getattr(container, way)(**options[way])
    eventually(lambda: not engine.client.containers.list(ignore_removed=True))


@pytest.mark.usefixtures("limits")
def test_update_changes_limits_while_it_runs(engine: RunningEngine) -> None:
    container = engine.run(FOREVER, mem_limit="64m", cpu_shares=512)
    container.update(mem_limit="32m", cpu_shares=256)
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 32 << 20
    assert container.attrs["HostConfig"]["CpuShares"] == 256
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["limit"] == 32 << 20


@pytest.mark.usefixtures("limits")
def test_update_that_makes_no_sense_changes_nothing(engine: RunningEngine) -> None:
    container = engine.run(FOREVER, mem_limit="64m")
    for change in ({"mem_limit": "1k"}, {"mem_limit": "1000g"}, {"cpuset_cpus": "900"}):
        with pytest.raises(docker.errors.APIError) as error:
            container.update(**change)
        assert error.value.status_code == 400
    container.reload()
    assert container.attrs["HostConfig"]["Memory"] == 64 << 20


def test_restart_policy_on_failure(engine: RunningEngine) -> None:
    container = engine.run(
        ["sh", "-c", "echo run; exit 7"],
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
    )
    eventually(lambda: state(container)["Status"] == "exited")
    assert container.logs() == b"run\n" * 3
    assert container.attrs["RestartCount"] == 2
    assert state(container)["ExitCode"] == 7


def test_restart_policy_always_until_stopped(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "echo run"], restart_policy={"Name": "always"})
    eventually(lambda: container.logs().count(b"run") >= 2)
    container.stop(timeout=1)
    assert state(container)["Status"] == "exited"
    count = container.logs().count(b"run")
    time.sleep(0.5)
    assert container.logs().count(b"run") == count


def test_restart_policy_can_be_updated(engine: RunningEngine) -> None:
    container = engine.run(["sh", "-c", "echo run"], restart_policy={"Name": "always"})
    eventually(lambda: container.logs().count(b"run") >= 2)
    container.update(restart_policy={"Name": "no"})
    eventually(lambda: state(container)["Status"] == "exited")
