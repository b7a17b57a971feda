"""config.md, "Process" and "User": what runs, where, as whom and with which streams."""

from __future__ import annotations

import array
import json
import os
import socket
from pathlib import Path

import pytest

from conformance.box import Box
from oci.terminals import read_all
from oci_command.program import ENVIRONMENT


def test_arguments_are_passed_as_they_are(box: Box) -> None:
    """args: like execvp(3)'s argv."""
    said = box.run("sh", "-c", 'for word; do echo "[$word]"; done', "x", "a b", "", "$HOME", "*")
    assert said.stdout.splitlines() == ["[a b]", "[]", "[$HOME]", "[*]"]


def test_a_program_is_looked_for_as_execvp_does(box: Box) -> None:
    """args: the first is the file of execvp(3), which looks in the PATH of env."""
    box.process["env"] = ["PATH=/nowhere:/bin"]
    assert box.run("echo", "found").stdout == "found\n"
    assert box.run("/bin/echo", "found").stdout == "found\n"


def test_a_relative_program_is_of_the_working_directory(box: Box) -> None:
    """args and cwd: a file with a slash is not looked for."""
    box.process["cwd"] = "/bin"
    assert box.run("./echo", "found").stdout == "found\n"


def test_the_environment_is_what_is_given(box: Box) -> None:
    """env: like environ."""
    box.process["env"] = ["PATH=/bin", "WORD=a b=c", "EMPTY="]
    said = set(box.sh("exec env").splitlines()) - {"PWD=/", "_=/bin/env"}
    # runc adds HOME, which the specification does not forbid.
    assert {word for word in said if not word.startswith(("HOME=", "OLDPWD", "SHLVL"))} == {
        "PATH=/bin",
        "WORD=a b=c",
        "EMPTY=",
    }


def test_the_environment_of_the_runtime_stays_outside(box: Box) -> None:
    """env: nothing of the caller's gets in."""
    assert "PYTHONPATH" in ENVIRONMENT
    assert "PYTHONPATH" not in box.sh("exec env")


def test_the_working_directory(box: Box) -> None:
    """cwd: is set for the program."""
    box.process["cwd"] = "/home/alice"
    assert box.sh("pwd") == "/home/alice"


@pytest.mark.parametrize("cwd", ["relative", "", None])
def test_a_working_directory_that_cannot_be_is_refused(box: Box, cwd: str | None) -> None:
    """cwd: required, and must be absolute."""
    box.process["cwd"] = cwd
    box.refuse("true")


@pytest.mark.parametrize("args", [[], None])
def test_no_arguments_are_refused(box: Box, args: list[str] | None) -> None:
    """args: at least one is required."""
    box.process["args"] = args
    box.refuse()


@pytest.mark.root
def test_a_user_and_groups(box: Box) -> None:
    """uid, gid and additionalGids."""
    box.process["user"] = {"uid": 1000, "gid": 50, "additionalGids": [5, 6]}
    assert box.sh("id -u; id -g; grep Groups /proc/self/status").split() == [
        *("1000", "50", "Groups:"),
        *("5", "6"),
    ]


@pytest.mark.root
def test_no_groups_of_the_caller(box: Box) -> None:
    """additionalGids: what is not named is not there."""
    box.process["user"] = {"uid": 1000, "gid": 50}
    assert box.sh("grep Groups /proc/self/status").split() in (["Groups:"], ["Groups:", "50"])


@pytest.mark.parametrize("umask", [0o077, 0o022, 0])
def test_a_umask(box: Box, umask: int) -> None:
    """umask."""
    box.process["user"]["umask"] = umask
    assert int(box.sh("umask"), 8) == umask


@pytest.mark.parametrize("user", [{"uid": -1, "gid": 0}, {"uid": "root", "gid": 0}])
def test_a_user_that_cannot_be_is_refused(box: Box, user: dict[str, object]) -> None:
    """uid and gid: numbers, for symbolic names are left to callers."""
    box.process["user"] = user
    box.refuse("true")


def test_the_streams_are_the_callers(box: Box) -> None:
    """terminal: without one, the streams are those of the caller."""
    done = box.run("sh", "-c", "cat; echo error >&2; exit 7", stdin=b"given")
    assert (done.returncode, done.stdout, done.stderr) == (7, "given", "error\n")


def _terminal(box: Box, *words: str) -> tuple[bytes, dict[str, object]]:
    """What is seen on a terminal that is handed over by a console socket, and the state."""
    box.process["terminal"] = True
    box.write(*words)
    address = str(box.folder / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1)
        status, errors = box.try_create(f"--console-socket={address}")
        assert status == 0, errors
        connection, _ = listener.accept()
        with connection:
            _, ancillary, _, _ = connection.recvmsg(1000, socket.CMSG_LEN(4))
    master = array.array("i", ancillary[0][2])[0]
    state = box.state()
    box.do("start")
    seen = read_all(master)
    os.close(master)
    return seen, state


def test_a_terminal_is_on_all_three_streams(box: Box) -> None:
    """terminal: a pair is made, and its side is duplicated on the streams."""
    links = "readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"
    seen, _ = _terminal(box, "sh", "-c", f"{links}; tty; echo error >&2")
    lines = seen.split()
    assert len(set(lines[:4])) == 1
    assert lines[0].startswith(b"/dev/pts/") or lines[0] == b"/dev/console"
    assert lines[4] == b"error"


def test_a_terminal_has_a_console_and_a_size(box: Box) -> None:
    """consoleSize; /dev/console is set up."""
    box.process["consoleSize"] = {"height": 11, "width": 22}
    seen, _ = _terminal(box, "sh", "-c", "stty size; stat -c %F /dev/console")
    assert seen == b"11 22\r\ncharacter special file\r\n"


def test_the_size_of_no_console_is_passed_over(box: Box) -> None:
    """consoleSize: must be ignored without a terminal."""
    box.process["consoleSize"] = {"height": 11, "width": 22}
    assert box.sh("echo ran") == "ran"


def test_the_terminal_controls_the_program(box: Box) -> None:
    """terminal: the program leads a session that it is the terminal of."""
    seen, _ = _terminal(box, "sh", "-c", "ps -o pid=,sid=,tpgid= -p $$")
    pid, session, foreground = seen.split()
    assert pid == session == foreground


def test_another_process_runs_in_the_container(box: Box) -> None:
    """exec with a document of a process, in the namespaces and with the root of the container."""
    box.process["capabilities"] = {}
    box.create("sleep", "1000")
    box.start("sleep")
    process = {
        "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "hostname; pwd; echo $WORD; cat /proc/1/cmdline; exit 6"],
        "env": ["PATH=/bin", "WORD=there"],
        "cwd": "/home/alice",
        "noNewPrivileges": True,
    }
    file = box.folder / "process.json"
    file.write_text(json.dumps(process))
    done = box.runtime.call("exec", f"--process={file}", box.id)
    assert done.returncode == 6, done.stderr
    assert done.stdout == "box\n/home/alice\nthere\nsleep\x001000\0"


def test_another_process_has_rights_of_its_own(box: Box) -> None:
    """exec: capabilities and limits are those of its document."""
    box.create("sleep", "1000")
    box.start("sleep")
    sets = {key: ["CAP_KILL"] for key in ("bounding", "permitted", "effective")}
    process = {
        "user": {"uid": 0, "gid": 0},
        "args": ["sh", "-c", "grep CapEff /proc/self/status; grep core /proc/self/limits"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": sets,
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 77, "hard": 88}],
    }
    file = box.folder / "process.json"
    file.write_text(json.dumps(process))
    said = box.runtime.call("exec", f"--process={file}", box.id).stdout.split()
    assert (int(said[1], 16), said[6:8]) == (1 << 5, ["77", "88"])


def test_nothing_runs_in_what_does_not(box: Box) -> None:
    """exec: needs a container that runs."""
    box.create("true")
    box.do("start")
    box.output_at_end()
    assert box.runtime.call("exec", box.id, "true").returncode != 0


def test_the_id_of_the_process_is_written(box: Box, tmp_path: Path) -> None:
    """State: pid; callers read it from the file of --pid-file."""
    box.write("sleep", "1000")
    file = tmp_path / "pid"
    status, errors = box.try_create(f"--pid-file={file}")
    assert status == 0, errors
    assert int(file.read_text()) == box.pid
