"""The same containers by the embedded runtime, runc and crun: what is seen of them is the same."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest

from cellcrate_runtime.linux.cgroups import hierarchy

from .conftest import RunningEngine, eventually, runs
from .test_attach import Attached

EMBEDDED = "cellcrate"
OWN = "cellcrate-oci"  # lies beside this Python, on whose PATH it need not be
PROGRAMS = [name for name in ("runc", "crun") if shutil.which(name)]
FOREVER = ["sleep", "1000"]


@pytest.fixture(params=[EMBEDDED, OWN, *PROGRAMS])
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime in turn."""
    return _usable(str(request.param))


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """Each runtime that is a program of its own."""
    return _usable(str(request.param))


def _usable(name: str) -> str:
    if name != EMBEDDED and not hierarchy().writable:
        pytest.skip("this user can make no control groups, which other runtimes need")
    return name


@pytest.fixture
def run(engine: RunningEngine, runtime: str) -> Callable[..., Any]:
    """Start a container by a runtime."""

    def start(script: str, **options: Any) -> Any:
        return engine.run(["sh", "-c", script], runtime=runtime, **options)

    return start


def outcome(container: Any) -> tuple[int, bytes, bytes]:
    """How a container ended, and what it said on each stream."""
    status = container.wait()["StatusCode"]
    return (
        status,
        container.logs(stdout=True, stderr=False),
        container.logs(stdout=False, stderr=True),
    )


def attributes(container: Any) -> dict[str, Any]:
    container.reload()
    found: dict[str, Any] = container.attrs
    return found


def test_output_and_exit_status(run: Callable[..., Any], runtime: str) -> None:
    container = run("echo out; echo err >&2; exit 3")
    assert outcome(container) == (3, b"out\n", b"err\n")
    assert attributes(container)["HostConfig"]["Runtime"] == runtime


@pytest.mark.root
def test_user_and_files(run: Callable[..., Any], tmp_path: Path) -> None:
    """A volume's owners are the host's, the root may be read-only, and rights are dropped."""
    script = "id -u; id -g; touch /no 2>/dev/null || echo read-only; touch /data/yes; cat /text"
    (tmp_path / "text").write_text("from the host\n")
    (tmp_path / "data").mkdir(mode=0o700)
    os.chown(tmp_path / "data", 1000, 1000)
    container = run(
        script,
        user="1000:1000",
        read_only=True,
        volumes=[f"{tmp_path}/data:/data", f"{tmp_path}/text:/text:ro"],
    )
    assert outcome(container) == (0, b"1000\n1000\nread-only\nfrom the host\n", b"")
    assert (tmp_path / "data" / "yes").stat().st_uid == 1000


@pytest.mark.root
def test_what_a_container_may(run: Callable[..., Any]) -> None:
    """Its identity, capabilities and filter are the same, whoever has made it."""
    script = "cat /proc/self/uid_map; grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/1/status"
    status, said, _ = outcome(run(script))
    assert status == 0
    found = dict(line.split(None, 1) for line in said.decode().splitlines()[1:])
    assert found == {
        "CapBnd:": "00000000a80425fb",
        "CapEff:": "00000000a80425fb",
        "NoNewPrivs:": "1",
        "Seccomp:": "2",
    }
    assert said.split()[:2] != [b"0", b"0"]  # its root is nobody's root outside


@pytest.mark.parametrize(("missing", "code"), [("nope", 127), ("/nope", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_executed(
    engine: RunningEngine, runtime: str, missing: str, code: int
) -> None:
    container = engine.client.containers.create(engine.image, [missing], runtime=runtime)
    with pytest.raises(docker.errors.APIError) as caught:
        container.start()
    said = str(caught.value.explanation)
    assert "permission denied" in said if code == 126 else "not found" in said or "no such" in said
    if runtime != EMBEDDED:
        assert f"{runtime}: " in said
    assert attributes(container)["State"]["ExitCode"] == code


def _owner_and_mode(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_uid, status.st_gid, status.st_mode


def test_input_and_terminal(engine: RunningEngine, runtime: str) -> None:
    command = ["sh", "-c", "tty; read line; stty size; echo got $line; exit 6"]
    null = _owner_and_mode("/dev/null")
    container = engine.client.containers.create(
        engine.image, command, runtime=runtime, tty=True, stdin_open=True
    )
    with Attached(engine, container).socket as connection:
        container.start()
        container.resize(height=20, width=70)
        connection.sendall(b"a word\n")
        assert container.wait()["StatusCode"] == 6
    said = container.logs().replace(b"\r\n", b"\n")
    # The terminal's echo of what was typed may come before the first program's words, or after.
    assert b"/dev/pts/0\n" in said
    assert said.endswith(b"20 70\ngot a word\n")
    assert _owner_and_mode("/dev/null") == null, "crun gives what it has to the container's root"


def test_exec(engine: RunningEngine, run: Callable[..., Any]) -> None:
    container = run("sleep 1000", environment={"WORD": "given"})
    done = container.exec_run(["sh", "-c", "echo $WORD; echo e >&2; exit 5"], demux=True)
    assert (done.exit_code, done.output) == (5, (b"given\n", b"e\n"))
    done = container.exec_run(["sh", "-c", "id -u; pwd"], user="1000", workdir="/tmp")
    assert done.output == b"1000\n/tmp\n"
    assert container.exec_run(["tty"], tty=True).output.startswith(b"/dev/pts/")
    for missing, code in (("nope", 127), ("/etc/passwd", 126)):
        created = engine.client.api.exec_create(container.id, [missing])["Id"]
        with contextlib.suppress(docker.errors.APIError):
            engine.client.api.exec_start(created)
        assert engine.client.api.exec_inspect(created)["ExitCode"] == code


def test_the_end_of_execs(run: Callable[..., Any]) -> None:
    """A container ends although programs run in it that another runtime has put there."""
    container = run("exec sleep 1000")
    for _ in range(3):
        container.exec_run(FOREVER, detach=True)
    assert len(container.top()["Processes"]) == 4
    container.kill()
    assert container.wait()["StatusCode"] == 137


def test_signals(run: Callable[..., Any]) -> None:
    script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    container = run(script)
    eventually(lambda: b"up" in container.logs())
    container.stop()
    assert outcome(container) == (7, b"up\nbye\n", b"")
    container.start()
    eventually(lambda: container.logs().count(b"up") == 2)
    container.kill()
    assert container.wait()["StatusCode"] == 137


@pytest.mark.usefixtures("limits")
def test_pause(run: Callable[..., Any]) -> None:
    container = run("n=0; while :; do n=$((n+1)); echo $n; sleep 0.01; done")
    container.pause()
    time.sleep(0.2)  # what it wrote before may still be on its way to the log
    before = len(container.logs())
    time.sleep(0.1)
    assert len(container.logs()) == before
    assert attributes(container)["State"]["Status"] == "paused"
    container.unpause()
    eventually(lambda: len(container.logs()) > before)


@pytest.mark.usefixtures("limits")
def test_a_limit_of_memory(run: Callable[..., Any]) -> None:
    container = run("exec python3 -c 'bytearray(200_000_000)'", mem_limit="20m")
    assert container.wait()["StatusCode"] == 137
    assert attributes(container)["State"]["OOMKilled"]
    assert attributes(run("sleep 1000", mem_limit="20m"))["HostConfig"]["Memory"] == 20 << 20


def test_the_hosts_processes(run: Callable[..., Any]) -> None:
    """Without a PID namespace of its own, nothing of a container outlives it either."""
    container = run("sleep 998877 & echo $!; exit 2", pid_mode="host")
    status, said, _ = outcome(container)
    assert status == 2
    assert not runs(int(said))


# -- other runtimes ------------------------------------------------------------------------------


def test_twenty_cycles_leave_nothing(own_engine: RunningEngine, program: str) -> None:
    engine = own_engine
    for number in range(20):
        command = ["nope"] if number % 5 == 0 else ["true"]
        container = engine.client.containers.create(engine.image, command, runtime=program)
        if number % 5 == 0:
            with pytest.raises(docker.errors.APIError):
                container.start()
        else:
            container.start()
            assert container.wait()["StatusCode"] == 0
        container.remove()
    eventually(lambda: not list((engine.paths.run / "c").iterdir()))
    assert not groups(engine._seen | {event["id"] for event in engine.events() if "id" in event})


def groups(containers: set[str]) -> list[str]:
    """The control groups of containers, in every tree of the machine."""
    return [
        f"{folder}/{name}"
        for folder, below, _ in os.walk("/sys/fs/cgroup")
        for name in below
        if name in containers
    ]


def test_kill_9_of_a_shim(own_engine: RunningEngine, program: str) -> None:
    engine = own_engine
    container = engine.run(FOREVER, runtime=program)
    container.exec_run(FOREVER, detach=True)
    pids = [int(row[1]) for row in container.top()["Processes"]]
    os.kill(parent(pids[0]), signal.SIGKILL)
    assert container.wait()["StatusCode"] == 137
    assert "shim was killed" in attributes(container)["State"]["Error"]
    eventually(lambda: not any(map(runs, pids)))
    eventually(lambda: not list((engine.paths.run / "c").iterdir()))
    assert not groups({container.id})
    container.start()
    assert container.exec_run(["echo", "again"]).output == b"again\n"


def test_kill_9_of_a_shim_that_waits_for_its_runtime(
    own_engine: RunningEngine, program: str, tmp_path: Path
) -> None:
    """The program ends with the shim, before or after it has made the container."""
    engine = own_engine
    wrapper = tmp_path / "slow"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *" create "*) ;; *) exec {program} "$@";; esac\n'
        f'{program} "$@"\necho $PPID > {tmp_path}/shim.new\nmv {tmp_path}/shim.new '
        f"{tmp_path}/shim\nexec sleep 1000\n"
    )
    wrapper.chmod(0o755)
    file = engine.paths.data / "daemon.json"
    file.write_text(json.dumps({"runtimes": {"slow": {"path": str(wrapper)}}}))
    container = engine.client.containers.create(engine.image, FOREVER, runtime="slow")
    with ThreadPoolExecutor() as threads:
        starting = threads.submit(container.start)
        eventually((tmp_path / "shim").exists)
        os.kill(int((tmp_path / "shim").read_text()), signal.SIGKILL)
        with pytest.raises(docker.errors.APIError):
            starting.result()
    container.remove(force=True)
    eventually(lambda: not list((engine.paths.run / "c").iterdir()))
    assert not groups({container.id})


def parent(pid: int) -> int:
    """Whose child a process is."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[1])


def test_kill_9_of_an_engine(own_engine: RunningEngine, program: str) -> None:
    engine = own_engine
    lasting = engine.run(FOREVER, runtime=program)
    orphan = engine.run(FOREVER, runtime=program)
    pid, orphan_pid = (attributes(each)["State"]["Pid"] for each in (lasting, orphan))
    shim = parent(orphan_pid)
    engine.kill()
    os.kill(shim, signal.SIGKILL)
    engine.start()
    found = engine.client.containers.get(lasting.id)
    assert attributes(found)["State"]["Pid"] == pid
    assert found.exec_run(["echo", "here"]).output == b"here\n"
    found.stop(timeout=0)
    assert attributes(engine.client.containers.get(orphan.id))["State"]["Status"] == "exited"
    eventually(lambda: not runs(orphan_pid))
    eventually(lambda: not groups({lasting.id, orphan.id}))


def test_what_is_no_runtime(engine: RunningEngine) -> None:
    with pytest.raises(docker.errors.APIError, match="unknown or invalid runtime name: nope") as no:
        engine.client.containers.create(engine.image, ["true"], runtime="nope")
    assert "There are: cellcrate" in str(no.value)
    assert not engine.containers()


@pytest.mark.rootless
def test_what_other_runtimes_need(engine: RunningEngine) -> None:
    """A program's container does not die with its shim: without a control group it would stay."""
    if hierarchy().writable or not PROGRAMS:
        pytest.skip("this user can make control groups, or there is no other runtime")
    with pytest.raises(docker.errors.APIError, match="needs a control group") as no:
        engine.client.containers.create(engine.image, ["true"], runtime=PROGRAMS[0])
    assert "Delegate=yes" in str(no.value)
    assert not engine.containers()


def test_init_is_the_embedded_runtimes(engine: RunningEngine, program: str) -> None:
    with pytest.raises(docker.errors.APIError, match="--init does not go with the runtime"):
        engine.client.containers.create(engine.image, ["true"], runtime=program, init=True)
    assert not engine.containers()


def test_configured_runtimes(own_engine: RunningEngine, program: str, tmp_path: Path) -> None:
    """A name, a program and its arguments, as Docker has them in daemon.json."""
    engine = own_engine
    file = engine.paths.data / "daemon.json"
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/called\nshift\nexec {program} "$@"\n')
    wrapper.chmod(0o755)
    configured = {"path": str(wrapper), "runtimeArgs": ["mine"]}
    file.write_text(json.dumps({"runtimes": {"wrapped": configured, "gone": {"path": "/no"}}}))
    container = engine.run(["true"], runtime="wrapped")
    assert container.wait()["StatusCode"] == 0
    assert set((tmp_path / "called").read_text().splitlines()) == {"mine"}
    assert engine.client.info()["Runtimes"]["wrapped"]["runtimeArgs"] == ["mine"]
    with pytest.raises(docker.errors.APIError, match="/no, which"):
        engine.client.containers.create(engine.image, ["true"], runtime="gone")
    file.write_text("{")
    with pytest.raises(docker.errors.APIError, match="cannot be understood"):
        engine.client.containers.create(engine.image, ["true"], runtime="wrapped")
    assert engine.run(["true"]).wait()["StatusCode"] == 0


@pytest.mark.root
def test_nothing_to_read_is_not_the_hosts_device(
    own_engine: RunningEngine, program: str, tmp_path: Path
) -> None:
    """Runtimes may give it to the container's root, who could then close it to everybody."""
    engine = own_engine
    wrapper = tmp_path / "wrapper"
    look = f"stat -L -c '%t:%T %a %d' /proc/self/fd/0 >> {tmp_path}/given"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *" --bundle "*|*" exec "*) {look};; esac\nexec {program} "$@"\n'
    )
    wrapper.chmod(0o755)
    configured = json.dumps({"runtimes": {"watched": {"path": str(wrapper)}}})
    (engine.paths.data / "daemon.json").write_text(configured)
    container = engine.run(FOREVER, runtime="watched")
    assert container.exec_run(["true"]).exit_code == 0
    given = (tmp_path / "given").read_text().splitlines()
    assert len(given) == 2
    for kind, mode, device in map(str.split, given):
        assert (kind, mode) == ("1:3", "666")
        assert int(device) != os.stat("/dev/null").st_dev


def test_info_lists_them(engine: RunningEngine) -> None:
    info = engine.client.info()
    assert info["DefaultRuntime"] == EMBEDDED
    assert {EMBEDDED, OWN, *PROGRAMS} <= set(info["Runtimes"])
    for name in (OWN, *PROGRAMS):
        described = info["Runtimes"][name]
        assert os.access(described["path"], os.X_OK)
        assert described["status"]["org.cellcrate.runtime.version"][0].isdecimal()
    embedded, program = (features(info["Runtimes"][name]) for name in (EMBEDDED, OWN))
    assert embedded == program
    assert "time" in embedded["linux"]["namespaces"]
    if "runc" in PROGRAMS:
        assert "createRuntime" in features(info["Runtimes"]["runc"])["hooks"]


def features(described: dict[str, Any]) -> dict[str, Any]:
    """What a runtime says that it knows."""
    text = described["status"]["org.opencontainers.runtime-spec.features"]
    found: dict[str, Any] = json.loads(text)
    return found
