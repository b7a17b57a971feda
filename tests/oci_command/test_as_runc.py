"""What callers of runc rely on, beyond the specification."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from oci_command.program import ENVIRONMENT, Bundle, Program


def test_a_foreground_terminal_passes_newlines_on_alone(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "echo one; echo two", terminal=True)
    # Files that are read as text would have their newlines translated.
    done = subprocess.run(
        [*program.command, "run", "-b", path, "c1"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"one\ntwo\n"


def test_a_root_that_was_named_and_is_not_there_is_refused(program: Program) -> None:
    assert f"{program.root}: no such directory" in program.refusal("list")


def test_json_is_written_without_spaces(program: Program, bundle: Bundle) -> None:
    program.do("create", "-b", bundle.write("true"), "c1")
    listed = program.do("list", "--format", "json")
    assert listed.startswith('[{"ociVersion":"')
    assert '"id":"c1","pid":' in listed


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", ["checkpoint", "exec", "run", "update"])
def test_help_of_a_command_names_it_first(program: Program, command: str, option: str) -> None:
    heading, name, *_ = program.do(command, option).splitlines()
    assert heading == "NAME:"
    assert name.startswith(f"   cellcrate-oci {command} - ")


@pytest.mark.parametrize(
    ("given", "home"),
    [
        (["HOME=/given"], "/given"),
        (["HOME="], "/root"),
        (["HOME=/given", "HOME="], "/root"),
        (["HOME=", "HOME=/given"], "/given"),
    ],
)
def test_the_last_home_that_is_given_counts(
    program: Program, bundle: Bundle, given: list[str], home: str
) -> None:
    path = bundle.write("sh", "-c", "echo $HOME", env=["PATH=/bin", *given])
    assert program.do("run", "-b", path, "c1") == f"{home}\n"


def test_members_that_are_null_are_as_good_as_none(program: Program, bundle: Bundle) -> None:
    bundle.document["linux"]["timeOffsets"] = None
    bundle.document["hooks"] = {"prestart": None}
    assert program.do("run", "-b", bundle.write("echo", "yes"), "c1") == "yes\n"


def test_a_null_that_cannot_be_is_refused_by_name(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true", cwd=None)
    assert "`cwd`" in program.refusal("run", "-b", path, "c1")


@pytest.mark.root
def test_capabilities_that_are_not_granted_are_warned_of(program: Program, bundle: Bundle) -> None:
    bundle.document["process"]["capabilities"] |= {
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL", "CAP_CHOWN"],
    }
    done = program.call("run", "-b", bundle.write("grep", "CapAmb", "/proc/self/status"), "c1")
    assert "level=warning" in done.stderr
    assert "can't raise ambient capability CAP_CHOWN: it is not among" in done.stderr
    assert int(done.stdout.split()[1], 16) == 1 << 5


@pytest.mark.root
def test_a_capability_that_is_inheritable_is_added_as_ambient_too(
    program: Program, bundle: Bundle
) -> None:
    held = bundle.document["process"]["capabilities"]
    held["inheritable"] = ["CAP_CHOWN"]
    held["bounding"] = [*held["bounding"], "CAP_CHOWN"]
    program.do("run", "-d", "-b", bundle.write("sleep", "1000"), "c1")
    words = ["c1", "grep", "CapAmb", "/proc/self/status"]
    ambient = program.do("exec", "--cap", "CAP_CHOWN", "--cap", "CAP_NET_RAW", *words)
    assert int(ambient.split()[1], 16) == 1 << 0


def _receive_pidfd(listener: socket.socket) -> int:
    connection, _ = listener.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 64, 1)
    return descriptors[0]


@pytest.fixture
def pidfd_socket(tmp_path: Path) -> socket.socket:
    """A socket on which a caller waits for a pidfd; its file is ``pidfd`` in the test's folder."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "pidfd"))
        listener.listen(1)
        yield listener


@pytest.mark.parametrize("words", [["create"], ["run", "--detach"]])
def test_the_process_is_sent_as_a_descriptor(
    program: Program,
    bundle: Bundle,
    pidfd_socket: socket.socket,
    tmp_path: Path,
    words: list[str],
) -> None:
    path = bundle.write("sleep", "1000")
    program.do(*words, f"--pidfd-socket={tmp_path / 'pidfd'}", "-b", path, "c1")
    pidfd = _receive_pidfd(pidfd_socket)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    assert program.status("c1") == "stopped"


def test_one_more_process_is_sent_as_a_descriptor(
    program: Program, bundle: Bundle, pidfd_socket: socket.socket, tmp_path: Path
) -> None:
    program.do("run", "-d", "-b", bundle.write("sleep", "1000"), "c1")
    option = f"--pidfd-socket={tmp_path / 'pidfd'}"
    pid_file = tmp_path / "pid"
    program.do("exec", "-d", option, "--pid-file", str(pid_file), "c1", "sleep", "1000")
    pidfd = _receive_pidfd(pidfd_socket)
    try:
        described = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    finally:
        os.close(pidfd)
    assert f"\nPid:\t{pid_file.read_text()}\n" in described


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_container_that_waits_ends_by_a_signal(
    program: Program, bundle: Bundle, name: str
) -> None:
    program.do("create", "-b", bundle.write("sleep", "1000"), "c1")
    pid = json.loads(program.do("state", "c1"))["pid"]
    pidfd = os.pidfd_open(pid)
    try:
        program.do("kill", "c1", name)
        assert _ended(pidfd)
    finally:
        os.close(pidfd)
    assert program.status("c1") == "stopped"


def _ended(pidfd: int) -> bool:
    """Whether a process ends before long."""
    import select

    return bool(select.select([pidfd], [], [], 30)[0])


@pytest.mark.root
def test_a_container_may_run_where_its_maker_may_not(program: Program, bundle: Bundle) -> None:
    everywhere = os.sched_getaffinity(0)
    if len(everywhere) < 2:
        pytest.skip("needs two CPUs")
    one = str(min(everywhere))
    command = ["taskset", "-c", one, *program.command]
    look = ["grep", "Cpus_allowed_list", "/proc/self/status"]
    confined = subprocess.run(
        [*command, "run", "-b", bundle.write(*look), "c1"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert confined.stdout.split()[1] != one
    program.do("run", "-d", "-b", bundle.write("sleep", "1000"), "c2")
    one_more = subprocess.run(
        [*command, "exec", "c2", *look], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert one_more.stdout.split()[1] != one


def test_a_terminal_multiplexer_of_the_configuration_is_the_containers_own(
    program: Program, bundle: Bundle
) -> None:
    bundle.document["linux"]["devices"] = [
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}
    ]
    path = bundle.write("readlink", "/dev/ptmx")
    assert program.do("run", "-b", path, "c1") == "pts/ptmx\n"


def test_the_log_tells_what_was_made_if_asked(program: Program, bundle: Bundle) -> None:
    telling = Program(program.root, "--debug")
    path = bundle.write("true")
    said = telling.call("run", "-b", path, "c1").stderr
    assert "level=debug" in said
    assert f"root file system: {bundle.document['root']['path']}" in said
    assert "level=debug" not in program.call("run", "-b", path, "c1").stderr


@pytest.mark.root
@pytest.mark.parametrize("first_is_gone", [False, True])
def test_killing_ends_all_processes_beside_the_hosts(
    program: Program, bundle: Bundle, first_is_gone: bool
) -> None:
    namespaces = bundle.document["linux"]["namespaces"]
    namespaces.remove({"type": "pid"})
    program.do("run", "-d", "-b", bundle.write("sleep", "1000"), "c1")
    pid_file = bundle.folder / "pid"
    program.do("exec", "-d", "--pid-file", str(pid_file), "c1", "sleep", "1000")
    other = os.pidfd_open(int(pid_file.read_text()))
    first = os.pidfd_open(json.loads(program.do("state", "c1"))["pid"])
    try:
        if first_is_gone:
            signal.pidfd_send_signal(first, signal.SIGKILL)
            assert _ended(first)
        program.do("kill", "c1", "KILL")
        assert _ended(other)
        assert _ended(first)
    finally:
        os.close(other)
        os.close(first)
    assert "container not running" in program.refusal("kill", "c1", "KILL")


def test_the_processes_of_a_container_that_has_stopped_are_none(
    program: Program, bundle: Bundle
) -> None:
    if os.geteuid() != 0:
        pytest.skip("an ordinary user's container may have no control group")
    program.do("run", "--keep", "-b", bundle.write("true"), "c1")
    assert program.do("ps", "--format=json", "c1") == "[]\n"
    assert len(program.do("ps", "c1").splitlines()) == 1
