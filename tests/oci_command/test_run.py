"""run: exit statuses, streams, terminals and descriptors."""

from __future__ import annotations

import array
import os
import pty
import socket
import subprocess
from pathlib import Path

import pytest

from oci.terminals import read_all
from oci_command.program import ENVIRONMENT, Bundle, Program


def test_the_status_and_the_streams_are_the_programs(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "echo out; echo err >&2; exit 7")
    done = program.call("run", "-b", path, "c1")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert program.do("list", "-q") == ""


def test_a_signal_is_128_and_its_number(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "sh -c 'kill -KILL $$'; exit $?")
    assert program.call("run", "-b", path, "c1").returncode == 137


def test_a_kept_container_is_stopped(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true")
    program.do("run", "--keep", "-b", path, "c1")
    assert program.status("c1") == "stopped"


def test_a_detached_container_goes_on(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sleep", "1000")
    pid_file = bundle.folder / "pid"
    program.do("run", "-d", "--pid-file", str(pid_file), "-b", path, "c1")
    assert program.status("c1") == "running"
    assert Path(f"/proc/{pid_file.read_text()}").exists()


def test_a_missing_program_leaves_nothing(program: Program, bundle: Bundle) -> None:
    path = bundle.write("nosuch")
    assert "executable file not found" in program.refusal("run", "-b", path, "c1")
    assert program.do("list", "-q") == ""


def test_signals_are_forwarded(program: Program, bundle: Bundle) -> None:
    script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    path = bundle.write("sh", "-c", script)
    called = subprocess.Popen(
        [*program.command, "run", "-b", path, "c1"], env=ENVIRONMENT, stdout=subprocess.PIPE
    )
    assert called.stdout is not None
    with called.stdout as output:
        assert output.readline() == b"ready\n"
        called.terminate()
        assert called.wait(30) == 5


def test_a_terminal_is_sent_over_the_console_socket(
    program: Program, bundle: Bundle, tmp_path: Path
) -> None:
    path = bundle.write(
        "sh", "-c", "tty; stty size", terminal=True, consoleSize={"height": 11, "width": 22}
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen(1)
        program.do("create", f"--console-socket={tmp_path / 'console'}", "-b", path, "c1")
        connection, _ = listener.accept()
        with connection:
            master = _received(connection)
    program.do("start", "c1")
    try:
        assert read_all(master) == b"/dev/pts/0\r\n11 22\r\n"
    finally:
        os.close(master)


def test_a_terminal_in_the_foreground_is_the_callers(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "tty; read word; echo got $word; exit 4", terminal=True)
    pid, master = pty.fork()
    if not pid:
        os.execve(program.command[0], [*program.command, "run", "-b", path, "c1"], ENVIRONMENT)
    try:
        said = b""
        while b"/dev/pts/0" not in said:
            said += os.read(master, 1000)
        os.write(master, b"keys\r")
        said += read_all(master)
        assert b"got keys" in said
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
    finally:
        os.close(master)


def test_a_terminal_needs_somebody_to_hold_it(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true", terminal=True)
    assert "console socket" in program.refusal("create", "-b", path, "c1")
    path = bundle.write("true", terminal=False)
    refusal = program.refusal("create", "--console-socket=/nowhere", "-b", path, "c1")
    assert "console socket" in refusal


def test_descriptors_are_preserved_as_asked(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "echo over >&3; exec ls /proc/self/fd")
    reader, writer = os.pipe()
    with open(reader) as output:
        script = f'exec "$@" 3>&{writer} {writer}>&-'
        command = [*program.command, "run", "--preserve-fds=1", "-b", path, "c1"]
        done = subprocess.run(
            ["bash", "-c", script, "bash", *command],
            env=ENVIRONMENT,
            pass_fds=[writer],
            capture_output=True,
            text=True,
            check=True,
        )
        os.close(writer)
        assert output.read() == "over\n"
    assert done.stdout.split() == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]  # the last is of the folder that ls read


def test_sockets_of_systemd_are_passed_on(program: Program, bundle: Bundle) -> None:
    path = bundle.write("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; echo over >&3")
    script = 'exec 3>&1; LISTEN_FDS=1 exec "$@"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *program.command, "run", "-b", path, "c1"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 1\nover\n"


@pytest.mark.root
def test_groups_are_kept_where_podman_asks_for_it(program: Program, bundle: Bundle) -> None:
    path = bundle.write("id", "-G")
    before = os.getgroups()
    os.setgroups([17, 4711])
    try:
        assert "4711" not in program.do("run", f"--bundle={path}", "c1").split()
        bundle.document["annotations"] = {"run.oci.keep_original_groups": "1"}
        path = bundle.write("sh", "-c", "id -G; sleep 1000")
        program.do("create", f"--bundle={path}", "c2")
        program.do("start", "c2")
        assert {"17", "4711"} <= set(program.do("exec", "c2", "id", "-G").split())
    finally:
        os.setgroups(before)


def test_descriptors_that_are_not_there_are_refused(program: Program, bundle: Bundle) -> None:
    path = bundle.write("true")
    assert "no descriptor" in program.refusal("run", "--preserve-fds=90", "-b", path, "c1")


@pytest.mark.parametrize("option", ["--no-pivot", "--no-new-keyring", "--no-subreaper"])
def test_it_runs_without(program: Program, bundle: Bundle, option: str) -> None:
    path = bundle.write("cat", "/etc/group")
    assert "staff:x:50:alice" in program.do("run", option, "-b", path, "c1")


def _received(connection: socket.socket) -> int:
    message, ancillary, _, _ = connection.recvmsg(100, socket.CMSG_LEN(4))
    assert message
    return array.array("i", ancillary[0][2])[0]
