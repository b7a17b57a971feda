"""create, start, state, kill and delete, in each state."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellcrate_runtime.oci.command.record import Record
from oci_command.program import ENVIRONMENT, Bundle, Program

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def created(program: Program, bundle: Bundle) -> str:
    """A container that waits for its start."""
    path = bundle.write("sleep", "1000")
    program.do("create", f"--bundle={path}", "c1", stdin=subprocess.DEVNULL)
    return "c1"


def test_a_container_goes_from_state_to_state(program: Program, created: str) -> None:
    assert program.status(created) == "created"
    program.do("start", created)
    assert program.status(created) == "running"
    program.do("kill", created, "KILL")
    _wait_for_end(program, created)
    assert program.status(created) == "stopped"
    program.do("delete", created)
    assert "does not exist" in program.refusal("state", created)


def test_the_state_has_what_the_specification_asks_for(
    program: Program, created: str, bundle: Bundle
) -> None:
    state: dict[str, Any] = json.loads(program.do("state", created))
    assert state["id"] == created
    assert state["ociVersion"] == "1.3.0"
    assert state["bundle"] == str(bundle.folder)
    assert Path(f"/proc/{state['pid']}").exists()


def test_a_created_container_does_not_run_its_program(program: Program, created: str) -> None:
    pid = json.loads(program.do("state", created))["pid"]
    assert b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    program.do("start", created)
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"


def test_what_a_state_does_not_allow_is_refused(program: Program, created: str) -> None:
    bundle = f"--bundle={json.loads(program.do('state', created))['bundle']}"
    assert "already exists" in program.refusal("create", bundle, created)
    assert "not paused" in program.refusal("resume", created)
    program.do("start", created)
    assert "already running" in program.refusal("start", created)
    assert "not stopped: running" in program.refusal("delete", created)
    program.do("kill", created, "9")
    _wait_for_end(program, created)
    assert "has stopped" in program.refusal("start", created)
    assert "not running" in program.refusal("kill", created)
    assert "not running" in program.refusal("pause", created)
    assert "stopped container" in program.refusal("exec", created, "true", status=255)


@pytest.mark.parametrize(
    "words",
    ["start", "state", "kill", "delete", "pause", "ps", "update", "exec"],
)
def test_no_command_finds_what_is_not_there(program: Program, words: str) -> None:
    more = ["true"] if words == "exec" else []
    status = 255 if words == "exec" else 1
    assert "does not exist" in program.refusal(words, "nobody", *more, status=status)


def test_deleting_by_force_ends_what_runs(program: Program, created: str) -> None:
    program.do("start", created)
    pid = json.loads(program.do("state", created))["pid"]
    program.do("delete", "--force", created)
    assert not _is_alive(pid)
    program.do("delete", "--force", created)  # there is nothing to delete any more


def test_a_created_container_can_be_deleted(program: Program, created: str) -> None:
    pid = json.loads(program.do("state", created))["pid"]
    program.do("delete", created)
    assert not _is_alive(pid)


@pytest.mark.parametrize("name", ["sigterm", "15"])
def test_a_signal_has_several_names(program: Program, bundle: Bundle, name: str) -> None:
    path = bundle.write("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.01; done")
    program.do("run", "--detach", f"--bundle={path}", "c1")
    program.do("kill", "c1", name)
    _wait_for_end(program, "c1")


def test_an_unknown_signal_is_refused(program: Program, created: str) -> None:
    assert "unknown signal 'NOTHING'" in program.refusal("kill", created, "NOTHING")


def test_kill_all_ends_every_process(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "sleep 1000 & wait")
    program.do("run", "--detach", f"--bundle={path}", "c1")
    program.do("kill", "--all", "c1", "KILL")
    _wait_for_end(program, "c1")


def test_the_process_is_its_callers_and_has_its_streams(program: Program, bundle: Bundle) -> None:
    """What conmon counts on: it adopts the process, and reads what it writes."""
    path = bundle.write("sh", "-c", "cat; exit 7")
    prctl = ctypes.CDLL(None).prctl
    assert prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    output, written = os.pipe()
    given, gives = os.pipe()
    try:
        pid_file = bundle.folder / "pid"
        words = ["create", f"--bundle={path}", f"--pid-file={pid_file}", "c1"]
        called = subprocess.run(
            [*program.command, *words],
            stdin=given,
            stdout=written,
            env=ENVIRONMENT,
            timeout=30,
            check=False,
        )
        assert called.returncode == 0
        os.close(given)
        os.close(written)
        program.do("start", "c1")
        os.write(gives, b"words")
        os.close(gives)
        _, status = os.waitpid(int(pid_file.read_text()), 0)
        assert os.waitstatus_to_exitcode(status) == 7
        assert os.read(output, 100) == b"words"
    finally:
        os.close(output)
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def test_a_program_that_is_missing_is_said_by_create(program: Program, bundle: Bundle) -> None:
    path = bundle.write("nosuch")
    words = program.refusal("create", f"--bundle={path}", "c1")
    assert "executable file not found in $PATH" in words
    assert "does not exist" in program.refusal("state", "c1")


def test_a_program_that_went_missing_is_said_by_start(program: Program, bundle: Bundle) -> None:
    scratch = bundle.folder / "scratch"
    scratch.mkdir()
    (scratch / "program").write_text("#!/bin/sh\n")
    (scratch / "program").chmod(0o755)
    bundle.document["mounts"].append(
        {"destination": "/data", "source": "scratch", "options": ["bind"]}
    )
    path = bundle.write("/data/program")
    program.do("create", f"--bundle={path}", "c1")
    (scratch / "program").unlink()
    assert "no such file or directory" in program.refusal("start", "c1")
    _wait_for_end(program, "c1")


def test_a_configuration_that_cannot_be_leaves_nothing(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true", cwd="relative")
    assert "process.cwd" in program.refusal("create", f"--bundle={path}", "c1")
    bundle.document["mounts"].append(
        {"destination": "/data", "source": "/nowhere/at/all", "options": ["bind"]}
    )
    path = bundle.write("true", cwd="/")
    assert "/nowhere/at/all" in program.refusal("create", f"--bundle={path}", "c1")
    assert not program.root.exists() or not list(program.root.iterdir())


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b"])
def test_a_name_that_cannot_be_is_refused(program: Program, bundle: Bundle, name: str) -> None:
    path = bundle.write("true")
    assert "invalid container ID" in program.refusal("create", f"--bundle={path}", name)


def test_a_bundle_without_a_configuration_is_refused(program: Program, tmp_path: Path) -> None:
    assert "not found" in program.refusal("create", f"--bundle={tmp_path}", "c1")


def test_what_a_crash_left_is_seen_as_stopped(program: Program, created: str) -> None:
    """Another process may have the id by then: it is not taken for the container's."""
    file = program.root / created / "record"
    record = Record.read(file.read_bytes())
    pid = record.pid
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(program, created)
    record.pid = os.getpid()
    file.write_bytes(record.written())
    assert program.status(created) == "stopped"
    assert "not running" in program.refusal("kill", created, "KILL")
    program.do("delete", created)


def test_what_a_making_cut_short_left_can_be_removed(program: Program) -> None:
    (program.root / "half").mkdir(parents=True)
    assert "does not exist" in program.refusal("state", "half")
    assert program.do("list", "--quiet") == ""
    program.do("delete", "--force", "half")
    assert not (program.root / "half").exists()


def test_later_hooks_are_run_with_the_state(program: Program, bundle: Bundle) -> None:
    def hook(name: str) -> list[dict[str, Any]]:
        return [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {bundle.folder}/{name}"]}]

    bundle.document["hooks"] = {name: hook(name) for name in ("poststart", "poststop")}
    path = bundle.write("sleep", "1000")
    program.do("create", f"--bundle={path}", "c1")
    assert not (bundle.folder / "poststart").exists()
    program.do("start", "c1")
    assert json.loads((bundle.folder / "poststart").read_text())["status"] == "running"
    program.do("delete", "--force", "c1")
    assert json.loads((bundle.folder / "poststop").read_text())["status"] == "stopped"


def test_a_hook_without_an_environment_has_the_runtimes(program: Program, bundle: Bundle) -> None:
    inherits = {"path": "/bin/sh", "args": ["sh", "-c", f"env > {bundle.folder}/inherited"]}
    empty = {"path": "/bin/sh", "args": ["sh", "-c", f"env > {bundle.folder}/none"], "env": []}
    bundle.document["hooks"] = {"prestart": [inherits, empty]}
    path = bundle.write("true")
    program.do("run", f"--bundle={path}", "c1")
    assert "PYTHONPATH=" in (bundle.folder / "inherited").read_text()
    assert "PYTHONPATH=" not in (bundle.folder / "none").read_text()


def test_nothing_is_left_where_a_hook_failed_after_the_start(
    program: Program, bundle: Bundle
) -> None:
    bundle.document["hooks"] = {
        "poststart": [{"path": "/bin/false"}],
        "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > {bundle.folder}/stopped"]}],
    }
    path = bundle.write("sleep", "1000")
    program.do("create", f"--bundle={path}", "c1")
    pid = json.loads(program.do("state", "c1"))["pid"]
    assert "the hook /bin/false failed with exit code 1" in program.refusal("start", "c1")
    assert not _is_alive(pid)
    assert program.do("list", "--quiet") == ""
    assert json.loads((bundle.folder / "stopped").read_text())["status"] == "stopped"


def test_without_a_process_there_is_nothing_to_start(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true")
    document = json.loads(Path(path, "config.json").read_text())
    del document["process"]
    Path(path, "config.json").write_text(json.dumps(document))
    assert "process: there is no program to run" in program.refusal("run", f"--bundle={path}", "c1")
    program.do("create", f"--bundle={path}", "c1")
    assert program.status("c1") == "created"
    assert "there is no program to start" in program.refusal("start", "c1")
    _wait_for_end(program, "c1")
    assert program.status("c1") == "stopped"
    program.do("delete", "c1")


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A process in a mount namespace of its own, which a mistake may harm."""
    holder = subprocess.Popen(["unshare", "--mount", "sleep", "1000"])
    try:
        while os.readlink(f"/proc/{holder.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            assert holder.poll() is None
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.root
def test_a_root_that_others_see_is_taken_away_again(
    program: Program, bundle: Bundle, elsewhere: int
) -> None:
    rootfs = bundle.document["root"]["path"]
    path = _without_new_mount_namespace(bundle, "readlink", "/proc/self/ns/mnt")
    inside = Program(program.root)
    inside.command = ["nsenter", f"--mount=/proc/{elsewhere}/ns/mnt", *inside.command]
    done = inside.call("run", f"--bundle={path}", "c1")
    assert done.stdout.strip() == os.readlink(f"/proc/{elsewhere}/ns/mnt"), done.stderr
    assert not _mounts_below(rootfs, elsewhere)
    bundle.document["mounts"].append({"destination": "/x", "type": "nosuch"})
    path = bundle.write("true")
    inside.refusal("run", f"--bundle={path}", "c1")
    assert not _mounts_below(rootfs, elsewhere)


@pytest.mark.root
def test_a_mount_namespace_is_joined(program: Program, bundle: Bundle, elsewhere: int) -> None:
    rootfs = bundle.document["root"]["path"]
    namespace = f"/proc/{elsewhere}/ns/mnt"
    path = _without_new_mount_namespace(bundle, "sleep", "1000", path=namespace)
    program.do("create", f"--bundle={path}", "c1")
    assert _mounts_below(rootfs, elsewhere)
    assert not _mounts_below(rootfs)
    program.do("start", "c1")
    root = os.stat(rootfs)
    assert program.do("exec", "c1", "stat", "-c", "%i", "/").strip() == str(root.st_ino)
    first = json.loads(program.do("state", "c1"))["pid"]
    assert os.readlink(f"/proc/{first}/ns/mnt") == os.readlink(namespace)
    program.do("delete", "--force", "c1")
    assert not _mounts_below(rootfs, elsewhere)


def _without_new_mount_namespace(bundle: Bundle, *args: str, **namespace: str) -> str:
    linux = bundle.document["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "mount"]
    if namespace:
        linux["namespaces"].append({"type": "mount", **namespace})
    return bundle.write(*args)


def _mounts_below(path: str, pid: int | str = "self") -> list[str]:
    points = [line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(path)]


def _is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def _wait_for_end(program: Program, container: str) -> None:
    pid = Record.read((program.root / container / "record").read_bytes()).pid
    while _is_alive(pid):
        pass
