"""An engine that was killed, or left: the next one finds every container, log and exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.engine.ownership import start_time

from .conftest import RunningEngine, eventually

FOREVER = ["sleep", "1000"]


def state(container: Any) -> dict[str, Any]:
    container.reload()
    found: dict[str, Any] = container.attrs["State"]
    return found


def again(engine: RunningEngine, container: Any) -> Any:
    """The same container, asked of the engine that runs now."""
    return engine.client.containers.get(container.id)


def test_kill_9_with_twenty_containers(own_engine: RunningEngine, tmp_path: Path) -> None:
    engine = own_engine
    gates = [tmp_path / f"gate{n}" for n in range(5)]
    for gate in gates:
        os.mkfifo(gate)
    lasting = [engine.run(["sh", "-c", f"echo lasting {n}; sleep 1000"]) for n in range(15)]
    ending = [
        engine.run(
            ["sh", "-c", f"echo before {n}; read line < /gate; echo after {n}; exit {n}"],
            volumes=[f"{gate}:/gate"],
        )
        for n, gate in enumerate(gates)
    ]
    pids = [state(container)["Pid"] for container in lasting]
    engine.kill()
    for gate in gates:
        gate.write_text("go\n")  # its reader takes it, and ends while no engine is there
    eventually(lambda: len(list((engine.paths.run / "c").iterdir())) == len(lasting))

    engine.start()
    for number, container in enumerate(lasting):
        found = again(engine, container)
        assert found.status == "running"
        assert found.attrs["State"]["Pid"] == pids[number]
        assert found.logs() == b"lasting %d\n" % number
        assert found.exec_run(["echo", "still here"]).output == b"still here\n"
    for number, container in enumerate(ending):
        found = again(engine, container)
        assert found.status == "exited"
        assert found.attrs["State"]["ExitCode"] == number
        assert found.logs() == b"before %d\nafter %d\n" % (number, number)
    again(engine, lasting[0]).stop(timeout=0)
    assert again(engine, lasting[0]).wait()["StatusCode"] == 137


def test_an_engine_that_leaves_lets_containers_go_on(own_engine: RunningEngine) -> None:
    container = own_engine.run(FOREVER)
    pid = state(container)["Pid"]
    own_engine.stop()
    assert Path(f"/proc/{pid}").exists()
    own_engine.start()
    assert state(again(own_engine, container))["Pid"] == pid


@pytest.mark.usefixtures("limits")
def test_paused_restarting_and_created_containers_are_found(own_engine: RunningEngine) -> None:
    paused = own_engine.run(FOREVER)
    paused.pause()
    created = own_engine.client.containers.create(own_engine.image, ["true"], name="unborn")
    looping = own_engine.run(["sh", "-c", "echo run"], restart_policy={"Name": "always"})
    eventually(lambda: looping.logs().count(b"run") >= 4)  # so that the pauses are long
    own_engine.kill()
    own_engine.start()
    assert again(own_engine, paused).status == "paused"
    again(own_engine, paused).unpause()
    assert again(own_engine, created).status == "created"
    assert again(own_engine, created).name == "unborn"
    before = again(own_engine, looping).logs().count(b"run")
    eventually(lambda: again(own_engine, looping).logs().count(b"run") > before)


def test_restart_policy_holds_for_an_end_that_nobody_saw(own_engine: RunningEngine) -> None:
    container = own_engine.run(
        ["sh", "-c", "echo run; sleep 1000"], restart_policy={"Name": "on-failure"}
    )
    eventually(lambda: container.logs() == b"run\n")
    pid = state(container)["Pid"]
    own_engine.kill()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list((own_engine.paths.run / "c").iterdir()))
    own_engine.start()
    eventually(lambda: again(own_engine, container).logs() == b"run\nrun\n")


def test_removed_by_itself_while_no_engine_is_there(own_engine: RunningEngine) -> None:
    container = own_engine.run(FOREVER, auto_remove=True)
    pid = state(container)["Pid"]
    own_engine.kill()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not list((own_engine.paths.run / "c").iterdir()))
    own_engine.start()
    eventually(lambda: not own_engine.containers())


def test_a_shim_that_was_killed_takes_its_container_along(own_engine: RunningEngine) -> None:
    container = own_engine.run(FOREVER)
    pid = state(container)["Pid"]
    os.kill(_parent(pid), signal.SIGKILL)
    eventually(lambda: state(container)["Status"] == "exited")
    assert state(container)["ExitCode"] == 137
    assert "shim was killed" in state(container)["Error"]
    eventually(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))
    container.remove()
    eventually(lambda: not own_engine.leftovers_of_containers())


def test_a_shim_that_was_killed_while_no_engine_was_there(own_engine: RunningEngine) -> None:
    container = own_engine.run(FOREVER)
    pid = state(container)["Pid"]
    shim = _parent(pid)
    own_engine.kill()
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))
    own_engine.start()
    found = state(again(own_engine, container))
    assert (found["Status"], found["ExitCode"]) == ("exited", 255)
    again(own_engine, container).start()
    assert again(own_engine, container).status == "running"


def test_a_launcher_that_was_killed_is_replaced(own_engine: RunningEngine) -> None:
    before = own_engine.run(FOREVER)
    os.kill(_launcher(own_engine), signal.SIGKILL)
    after = own_engine.run(["sh", "-c", "exit 2"])
    assert after.wait()["StatusCode"] == 2
    assert state(before)["Running"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 7}', b"\xff\xfe"])
def test_a_container_that_cannot_be_read_is_shown_as_dead(
    own_engine: RunningEngine, content: bytes
) -> None:
    container = own_engine.client.containers.create(own_engine.image, ["true"])
    other = own_engine.client.containers.create(own_engine.image, ["true"])
    own_engine.stop()
    (own_engine.paths.container(container.id) / "definition.json").write_bytes(content)
    own_engine.start()
    found = state(again(own_engine, container))
    assert (found["Status"], found["Dead"]) == ("dead", True)
    assert "cannot be read" in found["Error"]
    assert again(own_engine, other).status == "created"
    again(own_engine, container).remove(force=True)
    with pytest.raises(docker.errors.NotFound):
        again(own_engine, container)


def test_half_made_and_half_removed_folders_are_cleared(own_engine: RunningEngine) -> None:
    for name in ("a" * 64, "b" * 64 + ".removing"):
        (own_engine.paths.containers / name).mkdir()
        (own_engine.paths.containers / name / "upper").mkdir()
    holds = own_engine.paths.images / "holds"
    image = own_engine.client.containers.create(own_engine.image, ["true"])
    (holds / ("c" * 64)).write_bytes((holds / image.id).read_bytes())
    image.remove()
    own_engine.stop()
    own_engine.start()
    assert not list(own_engine.paths.containers.iterdir())
    assert not list(holds.iterdir())


def test_what_an_image_is_needed_for_is_known_again(own_engine: RunningEngine) -> None:
    """A machine that goes down may lose what was written last, and not what containers are."""
    container = own_engine.client.containers.create(own_engine.image, ["echo", "fine"])
    own_engine.kill()
    holds = own_engine.paths.images / "holds"
    (holds / container.id).write_bytes(b"")
    (holds / ("c" * 64)).write_bytes(b"")  # of a container that is not there any more
    own_engine.start()
    found = again(own_engine, container)
    assert [path.name for path in holds.iterdir()] == [container.id]
    found.start()
    assert found.wait()["StatusCode"] == 0
    assert found.logs() == b"fine\n"


def test_only_one_engine_for_each_home(own_engine: RunningEngine) -> None:
    arguments = ["--data", str(own_engine.paths.data), "--run", str(own_engine.paths.run)]
    pid = own_engine.pid
    code = (
        "import sys; from pathlib import Path; from cellcrate_runtime.engine.main import run;"
        "from cellcrate_runtime.paths import Paths;"
        "sys.exit(run(paths=Paths(data=Path(sys.argv[2]), run=Path(sys.argv[4]))))"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"process {pid}" in second.stderr
    assert own_engine.pid == pid


def test_an_idle_engine_leaves(own_engine: RunningEngine) -> None:
    own_engine.stop()
    code = (
        "import sys; from pathlib import Path; from cellcrate_runtime.engine.main import run;"
        "from cellcrate_runtime.paths import Paths;"
        "sys.exit(run(paths=Paths(data=Path(sys.argv[1]), run=Path(sys.argv[2])),"
        " idle_seconds=0.2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(own_engine.paths.data), str(own_engine.paths.run)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert done.returncode == 0
    assert not own_engine.socket.exists()


# -- containers that belong to a process ----------------------------------------------------------


@pytest.fixture
def owner() -> Any:
    """A process that stands for a notebook's kernel."""
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def _label(pid: int) -> dict[str, str]:
    return {"org.cellcrate.owner": f"{pid}:{start_time(pid)}"}


def test_a_container_ends_with_its_owner(own_engine: RunningEngine, owner: Any) -> None:
    own_engine.run(FOREVER, labels=_label(owner.pid))
    free = own_engine.run(FOREVER)
    owner.kill()
    owner.wait()
    eventually(lambda: [c.id for c in own_engine.containers()] == [free.id])
    folders = own_engine.paths.containers
    eventually(lambda: [path.name for path in folders.iterdir()] == [free.id])


def test_an_owner_is_watched_by_the_next_engine(own_engine: RunningEngine, owner: Any) -> None:
    tied = own_engine.run(FOREVER, labels=_label(owner.pid))
    own_engine.kill()
    own_engine.start()
    assert state(again(own_engine, tied))["Running"]
    owner.kill()
    owner.wait()
    eventually(lambda: not own_engine.containers())


def test_an_owner_that_died_while_no_engine_was_there(
    own_engine: RunningEngine, owner: Any
) -> None:
    own_engine.run(FOREVER, labels=_label(owner.pid))
    own_engine.kill()
    owner.kill()
    owner.wait()
    own_engine.start()
    eventually(lambda: not own_engine.containers())


def test_another_process_with_the_owners_id_is_not_the_owner(own_engine: RunningEngine) -> None:
    labels = {"org.cellcrate.owner": f"{os.getpid()}:12345"}
    # Not client.containers.create, which asks for it afterwards: it may be gone by then.
    own_engine.client.api.create_container(own_engine.image, FOREVER, labels=labels)
    eventually(lambda: not own_engine.containers())


# -- processes ------------------------------------------------------------------------------------


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    return int(_stat(pid)[1])


def _is_zombie(pid: int) -> bool:
    try:
        return _stat(pid)[0] == "Z"
    except OSError:
        return True


def _launcher(engine: RunningEngine) -> int:
    """The engine's child: it has one only."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        children = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
        if len(children) == 1:
            return int(children[0])
    raise AssertionError(f"the engine has the children {children}")
