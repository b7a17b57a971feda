"""What a process in a container does to processes, terminals, keys and devices outside of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.conftest import RunningEngine

from .attacker import X86_64_NUMBERS, attack, attack_by_exec, unchanged, victim

pytestmark = X86_64_NUMBERS


@pytest.fixture
def decoy() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the host's that must go on as it was."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        assert process.poll() is None
        process.kill()


def test_a_signal_to_everybody_ends_the_container_alone(
    engine: RunningEngine, decoy: subprocess.Popen[bytes]
) -> None:
    bystander = victim(engine)
    attacked = victim(engine)
    attacked.exec_run(["sh", "-c", "kill -9 -1; kill -TERM -1"])
    assert (
        attack(engine, f"tell([attempt(os.kill, {decoy.pid}, 9), call(62, -1, 9)])")[0] == "ESRCH"
    )
    bystander.reload()
    assert bystander.status == "running"


@pytest.mark.root
def test_processes_that_are_seen_are_out_of_reach(
    engine: RunningEngine, decoy: subprocess.Popen[bytes]
) -> None:
    """With the host's PID namespace, for a user who is not root."""
    program = f"""
pid = {decoy.pid}
refused = {{
    "kill": attempt(os.kill, pid, 9),
    "ptrace": call(101, 16, pid, 0, 0),  # PTRACE_ATTACH
    "priority": attempt(os.setpriority, os.PRIO_PROCESS, pid, 5),
    "affinity": attempt(os.sched_setaffinity, pid, [0]),
}}
for name in ("mem", "environ", "maps", "fd/0", "root/etc/passwd", "cwd/x", "exe", "ns/mnt"):
    refused[name] = opens(f"/proc/{{pid}}/{{name}}")
tell([os.path.exists(f"/proc/{{pid}}/stat"), refused])
"""
    seen, refused = attack(engine, program, pid_mode="host", user="1000:1000")
    assert seen
    assert set(refused.values()) <= {"EPERM", "EACCES"}, refused


def test_what_is_typed_into_a_terminal_stays_in_it(engine: RunningEngine) -> None:
    """TIOCSTI (CVE-2017-5226, CVE-2016-2779): the terminal is the container's own."""
    program = """
import fcntl, termios
reached = {}
for name in ("/dev/tty", "/dev/console", "/dev/tty0", "/dev/tty1", "/dev/ttyS0"):
    try:
        terminal = os.open(name, os.O_RDWR | os.O_NOCTTY)
        reached[name] = os.major(os.fstat(terminal).st_rdev), os.ttyname(terminal)
        fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    except OSError as error:
        reached.setdefault(name, errno.errorcode[error.errno])
print()  # what was typed is echoed
tell(reached)
"""
    reached = attack(engine, program)
    assert set(reached.values()) <= {"ENOENT", "ENXIO"}
    reached = attack(engine, program, tty=True)
    own = [[136, "/dev/pts/0"], [5, "/dev/pts/0"], [136, "/dev/console"], [5, "/dev/tty"]]
    for name in ("/dev/tty", "/dev/console"):
        assert reached.pop(name) in own
    assert set(reached.values()) <= {"ENOENT"}


def test_keys_of_the_host_are_not_there(engine: RunningEngine) -> None:
    """Keyrings are no namespace's (CVE-2014-9529 was one of their holes)."""
    program = """
tell([open("/proc/keys").read(), call(250, 0, -3, 1), call(250, 11, -4, None, 0),
      call(250, 1, b"_uid.0"), call(248, b"user", b"name", b"x", 1, -5)])
"""
    assert attack(engine, program) == ["", *["EPERM"] * 4]


DEVICES = """
made = {}
for name, kind, major, minor in (
    ("mem", stat.S_IFCHR, 1, 1), ("kmsg", stat.S_IFCHR, 1, 11), ("fuse", stat.S_IFCHR, 10, 229),
    ("loop-control", stat.S_IFCHR, 10, 237), ("kvm", stat.S_IFCHR, 10, 232),
    ("disk", stat.S_IFBLK, 8, 0), ("virtual disk", stat.S_IFBLK, 254, 0),
    ("loop0", stat.S_IFBLK, 7, 0), ("tty0", stat.S_IFCHR, 4, 0),
):
    path = f"/tmp/{name}"
    made[name] = [attempt(os.mknod, path, kind | 0o600, os.makedev(major, minor)), opens(path)]
tell(made)
"""


def test_devices_cannot_be_made(engine: RunningEngine) -> None:
    assert {tuple(pair) for pair in attack(engine, DEVICES).values()} == {("EPERM", "ENOENT")}


@pytest.mark.root
@pytest.mark.usefixtures("limits")
def test_devices_that_can_be_made_cannot_be_opened(engine: RunningEngine) -> None:
    """Without a user namespace it is the control group that keeps them shut."""
    found = attack(engine, DEVICES, userns_mode="host")
    assert {tuple(pair) for pair in found.values()} == {(0, "EPERM")}


def test_the_devices_that_are_there_are_the_harmless_ones(engine: RunningEngine) -> None:
    program = """
found = {}
for folder, _, files in os.walk("/dev"):
    for name in files:
        status = os.lstat(f"{folder}/{name}")
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            found[f"{folder}/{name}"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
tell(found)
"""
    names = {"null": [1, 3], "zero": [1, 5], "full": [1, 7], "random": [1, 8], "urandom": [1, 9]}
    expected = {f"/dev/{name}": number for name, number in {**names, "tty": [5, 0]}.items()}
    assert attack(engine, program) == {**expected, "/dev/pts/ptmx": [5, 2]}


RELEASE_AGENT = """
attempts = []
for options in (b"memory", b"rdma", b"pids", b"none,name=escape"):
    os.makedirs("/tmp/cg", exist_ok=True)
    attempts.append(call(165, b"cgroup", b"/tmp/cg", b"cgroup", 0, options))
    if attempts[-1] == 0:
        for name, text in (("release_agent", {agent!r}), ("notify_on_release", "1")):
            try:
                with open(f"/tmp/cg/{{name}}", "w") as file:
                    file.write(text)
            except OSError as error:
                attempts.append(errno.errorcode[error.errno])
            else:
                attempts.append(f"written {{name}}")
for path, _, names in os.walk("/sys/fs/cgroup"):
    for name in names:
        if name in ("release_agent", "cgroup.procs", "devices.allow", "cgroup.subtree_control"):
            attempts.append(opens(f"{{path}}/{{name}}", os.O_WRONLY))
tell(attempts)
"""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined"]},
    ],
    ids=["default", "with CAP_SYS_ADMIN"],
)
def test_no_agent_of_the_containers_runs_on_the_host(
    engine: RunningEngine, tmp_path: Path, options: dict[str, list[str]]
) -> None:
    """CVE-2022-0492: a program that the kernel starts, on the host, when a group becomes empty."""
    agent = tmp_path / "agent"
    proof = tmp_path / "proof"
    agent.write_text(f"#!/bin/sh\ntouch {proof}\n")
    agent.chmod(0o755)
    with unchanged(agent):
        found = attack(engine, RELEASE_AGENT.format(agent=str(agent)), **options)
    assert "written release_agent" not in found
    if not options:
        assert set(found) <= {"EPERM", "EROFS", "EACCES"}
    assert not proof.exists()


def test_covers_stay_on(engine: RunningEngine) -> None:
    program = """
covers = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sys", "/sys/firmware", "/sys",
          "/proc", "/dev", "/sys/fs/cgroup"]
tell([call(166, path.encode(), flags) for path in covers for flags in (0, 2)]
     + [call(165, None, b"/proc/sys", None, 0x1020, None)])
"""
    assert set(attack(engine, program)) == {"EPERM"}


# Its capabilities, as xattr(7) keeps them (struct vfs_cap_data, linux/capability.h): effective, and
# CAP_CHOWN and CAP_DAC_OVERRIDE, which the container's root has to give.
ROOTS_PYTHON = """
import shutil
for name in ("/set-user-id", "/with-capabilities"):
    shutil.copy(os.path.realpath(sys.executable), name)
os.chmod("/set-user-id", 0o6755)
os.setxattr("/with-capabilities", "security.capability",
            bytes.fromhex("01000002" "03000000" "00000000" "00000000" "00000000"))
tell(sys.prefix)
"""


@pytest.mark.parametrize("name", ["/set-user-id", "/with-capabilities"])
def test_programs_with_rights_of_their_own_raise_nothing(engine: RunningEngine, name: str) -> None:
    container = victim(engine)
    home = attack_by_exec(container, ROOTS_PYTHON)
    look = "import os; print(os.geteuid(), os.getegid(), open('/proc/self/status').read())"
    done = container.exec_run(
        [name, "-c", look], user="1000:1000", environment={"PYTHONHOME": home}
    )
    said = done.output.decode()
    assert said.startswith("1000 1000 "), said
    for kind in ("Eff", "Prm", "Amb"):
        assert f"Cap{kind}:\t0000000000000000" in said


def test_they_would_raise_something_without_no_new_privs(engine: RunningEngine) -> None:
    """So that the test above is one."""
    container = victim(engine, security_opt=["no-new-privileges=false"])
    home = attack_by_exec(container, ROOTS_PYTHON)
    done = container.exec_run(
        ["/set-user-id", "-c", "import os; print(os.geteuid())"],
        user="1000:1000",
        environment={"PYTHONHOME": home},
    )
    assert done.output == b"0\n"
