"""CVE-2019-5736: a container writes over the program that joins it.

A container's program is replaced by one that executes ``/proc/self/exe``: whoever joins the
container then executes the host's interpreter inside it, with the container's libraries.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.linux import executables
from engine.conftest import RunningEngine

from .attacker import ROOT, TOOLS, attack_by_exec, unchanged, victim

HOSTS_PYTHON = Path(sys.executable).resolve()

# It is given this interpreter's own library by PYTHONHOME, where an attacker would have put his
# code into the libraries that it loads.
SCRIPT = """#!/proc/self/exe
import os
held = os.open("/proc/self/exe", os.O_RDONLY)
os.set_inheritable(held, True)
os.execv("/usr/bin/env", ["env", "python3", "/second", str(held)])
"""

# As long as anybody executes a file, ETXTBSY keeps it from being written; its mode is not so kept,
# and shows whether the way to it is read-only. What is written, and set, is what is there.
SECOND = (
    TOOLS
    + """
held = int(sys.argv[1])
way = f"/proc/self/fd/{held}"
def overwrite():
    os.pwrite(os.open(way, os.O_RDWR), os.pread(held, 1, 0), 0)
status = os.stat(held)
mode = attempt(os.chmod, way, stat.S_IMODE(status.st_mode))
tell({"inode": status.st_ino, "write": attempt(overwrite), "mode": mode})
"""
)

PLANT = f"""
for name, text in (("/first", {SCRIPT!r}), ("/second", {SECOND!r})):
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o755)
tell(sys.prefix)
"""


@pytest.mark.parametrize("users", ["", pytest.param("host", marks=pytest.mark.root)])
def test_a_program_that_is_the_joining_process(engine: RunningEngine, users: str) -> None:
    container = victim(engine, userns_mode=users)
    home = attack_by_exec(container, PLANT)
    with unchanged(HOSTS_PYTHON):
        done = container.exec_run(["/first"], environment={"PYTHONHOME": home})
        outcome = json.loads(done.output)
    assert outcome["write"] in ("EROFS", "EACCES", "EPERM", "ETXTBSY")
    if ROOT:
        assert outcome == {**outcome, "inode": HOSTS_PYTHON.stat().st_ino, "mode": "EROFS"}


# What is of the host in a container's /proc: PID 1 of --init, and processes about to execute.
LOOK = """
opened = []

def look_into(pid, said):
    names = ("exe", "cwd", "root", "mem", "environ", "fd/0", "fd/3")
    found = [name for name in names if opens(f"/proc/{pid}/{name}") == 0]
    with open(f"/proc/{pid}/cmdline") as file:
        if file.read() == said:  # it was still the same that was opened, and not its program
            opened.extend(found)

while not os.path.exists("/enough"):
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                said = file.read()
            if int(pid) != os.getpid() and ("engine.launcher" in said or "init --" in said):
                look_into(pid, said)
        except OSError:
            pass  # it has ended
tell(opened)
"""


@pytest.mark.parametrize("init", [False, True])
def test_the_processes_that_run_a_container_are_closed(engine: RunningEngine, init: bool) -> None:
    container = engine.run(["python3", "-c", TOOLS + LOOK], init=init)
    for _ in range(15):
        assert container.exec_run(["true"]).exit_code == 0
    container.exec_run(["touch", "/enough"])  # the container may end, and it too, before it says so
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"[]\n"


@contextlib.contextmanager
def running(way: Callable[[str], int], program: Path) -> Iterator[int]:
    """A process that executes a program through a protected descriptor."""
    descriptor = way(str(program))
    executable = f"/proc/{os.getpid()}/fd/{descriptor}"
    with subprocess.Popen(["sleep", "1000"], executable=executable) as process:
        os.close(descriptor)
        yield process.pid
        process.kill()


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(executables._through_read_only_mount, marks=pytest.mark.root),
        executables._as_sealed_copy,
    ],
)
def test_what_is_executed_can_only_be_read(way: Callable[[str], int], tmp_path: Path) -> None:
    """Both ways hold against the file's owner, also when nothing executes it any more."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    decoy = tmp_path / "sleep"
    shutil.copy(sleep, decoy)
    with unchanged(decoy), running(way, decoy) as pid:
        held = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
        os.kill(pid, 9)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(OSError, match=r"Read-only|not permitted"):
            os.pwrite(os.open(f"/proc/self/fd/{held}", os.O_RDWR), b"x", 0)
        os.close(held)


def test_a_program_of_somebody_elses_needs_no_copy(tmp_path: Path) -> None:
    if ROOT:
        pytest.skip("everything is root's to write")
    assert executables.open_protected("/bin/sh") is None
