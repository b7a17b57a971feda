"""exec: one more program in a container that runs."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

import pytest

from oci_command.program import ENVIRONMENT, Bundle, Program


@pytest.fixture
def running(program: Program, bundle: Bundle) -> str:
    """A container that runs until it is ended."""
    path = bundle.write("sleep", "1000")
    program.do("run", "--detach", f"--bundle={path}", "c1")
    return "c1"


def test_the_status_is_the_programs(program: Program, running: str) -> None:
    assert program.call("exec", running, "sh", "-c", "exit 3").returncode == 3


def test_it_is_in_the_containers_namespaces(program: Program, running: str) -> None:
    assert program.do("exec", running, "cat", "/proc/1/cmdline") == "sleep\x001000\x00"
    assert program.do("exec", running, "hostname") == "cellcrate\n"


def test_a_missing_program_is_255(program: Program, running: str) -> None:
    refusal = program.refusal("exec", running, "nosuch", status=255)
    assert "executable file not found in $PATH" in refusal


def test_no_program_is_255(program: Program, running: str) -> None:
    assert "args cannot be empty" in program.refusal("exec", running, status=255)


def test_variables_and_folder_are_as_asked(program: Program, running: str) -> None:
    said = program.do("exec", "-e", "WORD=given", "--cwd", "/tmp", running, "sh", "-c", "pwd; env")
    assert said.startswith("/tmp\n")
    assert "WORD=given\n" in said


@pytest.mark.root
def test_the_user_is_as_asked(program: Program, running: str) -> None:
    said = program.do("exec", "--user", "1000:50", "-g", "1", running, "id")
    assert said.startswith("uid=1000(alice) gid=50(staff) groups=50(staff),1(daemon)")


def test_a_capability_is_added(program: Program, running: str) -> None:
    script = ["grep", "CapEff", "/proc/self/status"]
    before = int(program.do("exec", running, *script).split()[1], 16)
    after = int(program.do("exec", "--cap", "CAP_CHOWN", running, *script).split()[1], 16)
    assert after == before | 1
    done = program.call("exec", "--cap", "CAP_FLY", running, *script)
    assert int(done.stdout.split()[1], 16) == before
    assert "'CAP_FLY' is no capability, and left out" in done.stderr


def test_a_process_of_a_file_is_run(program: Program, running: str, tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(json.dumps({"cwd": "/", "args": ["sh", "-c", "echo $A"], "env": ["A=b"]}))
    assert program.do("exec", "--process", str(file), running) == "b\n"


def test_a_detached_one_goes_on(program: Program, running: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program.do("exec", "-d", f"--pid-file={pid_file}", running, "sleep", "1000")
    assert Path(f"/proc/{pid_file.read_text()}").exists()


def test_a_terminal_is_the_callers(program: Program, running: str) -> None:
    pid, master = pty.fork()
    if not pid:
        command = [*program.command, "exec", "-t", running, "sh", "-c", "tty; exit 6"]
        os.execve(command[0], command, ENVIRONMENT)
    try:
        said = b""
        while b"\n" not in said:
            said += os.read(master, 100)
        assert said.startswith(b"/dev/pts/0")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    finally:
        os.close(master)


def test_an_option_of_the_program_is_not_execs(program: Program, running: str) -> None:
    assert program.do("exec", running, "echo", "--detach") == "--detach\n"
