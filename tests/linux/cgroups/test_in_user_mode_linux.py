"""The tests of this folder once more, under a kernel with cgroup v2 alone, and under systemd.

User Mode Linux is a Linux kernel that is an ordinary program: it boots in two seconds, on this
machine's file system (read-only), as a kernel of its own with control groups of its own.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[2]
KERNEL = shutil.which("linux.uml") or "/usr/bin/linux.uml"
PATIENCE = 600  # seconds until a kernel is taken to stand still; the slower one needs 180
SYSTEMD = "/lib/systemd/systemd"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.once,
    pytest.mark.timeout(650),
    pytest.mark.skipif(not os.access(KERNEL, os.X_OK), reason="linux.uml is not installed."),
]

# Why a test may be skipped in there. Anything else would be a hole in what is claimed here.
KNOWN_REASONS = (
    "There is no controller for huge pages",
    "There is no v2 tree to attach a program in",
    "That is this machine's way",
    "The temporary folder is not on a disk",
    "There are no CPU sets here",
    "No scheduler of this kernel knows weights",
    "There is no systemd here",
    "There are no v1 controllers here",
    "of the v2 tree alone, the container sees the host's",
    "cgroup v2 counts time without a controller",
    "needs the memory controller in cgroup v1",
    "needs two CPUs and the cpuset controller",
    "nobody counts for how long tasks wait here",
)

# What it says where a processor has more registers than Linux 6.1 has room for, as those with AMX.
TOO_MANY_REGISTERS = "ptrace set fp regs failed"

# What the runtime's program does with groups, its own and systemd's.
BY_PROGRAM = ("test_under_systemd.py", "test_limits.py")

# What the first process does, as root, before anything else.
BASE = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mkdir /run/results
mount -t hostfs -o {results} hostfs /run/results
"""

# Without v1 "alone", and without ps(1), which finds no time of boot in there.
RUN_TESTS = """\
cd {project}
export TMPDIR=/run PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={python_path}
{python} -m pytest -p no:cacheprovider -k "not alone and not are_listed" --ignore={this} \\
    --junit-xml=/run/results/results.xml {tests} >/run/results/output 2>&1
echo $? >/run/results/status
"""

POWER_OFF = """\
sync
echo o >/proc/sysrq-trigger
sleep 10
"""

# An ordinary user with a systemd of their own; a service of the system runs the tests.
SYSTEMD_BOOT = """\
for folder in /var/lib /var/log /var/tmp; do mount -t tmpfs tmpfs $folder; done
echo 'root:x:0:0::/root:/bin/sh
messagebus:x:100:102::/nonexistent:/usr/sbin/nologin
tester:x:54321:54321::/run:/bin/sh' >/run/passwd
echo 'root:x:0:
messagebus:x:102:
tester:x:54321:' >/run/group
(umask 077; echo 'tester:*:19000::::::' >/run/shadow)
for file in passwd group shadow; do mount --bind /run/$file /etc/$file; done
cat >/run/tests <<'EOF'
{tests}
EOF
mkdir -p /run/systemd/system
cat >/run/systemd/system/tests.service <<'EOF'
[Unit]
DefaultDependencies=no
Requires=dbus.socket user@54321.service
After=dbus.socket user@54321.service
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh /run/tests
EOF
exec {systemd} --unit=tests.service --show-status=0 --log-level=warning --log-target=console
"""


@pytest.fixture(scope="module")
def under_v2_alone(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """A kernel that runs the tests of this folder."""
    folder = tmp_path_factory.mktemp("v2")
    return Boot(pool, folder, BASE + run_tests(folder, FOLDER) + POWER_OFF)


@pytest.fixture(scope="module")
def under_systemd(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """A kernel with systemd that runs those that need it, and those of the runtime's program."""
    if not os.access(SYSTEMD, os.X_OK):
        pytest.skip("systemd is not installed.")
    folder = tmp_path_factory.mktemp("systemd")
    by_program = [PROJECT / "tests/oci_command" / name for name in BY_PROGRAM]
    tests = run_tests(folder, FOLDER / "test_under_systemd.py", *by_program)
    return Boot(pool, folder, BASE + SYSTEMD_BOOT.format(tests=tests, systemd=SYSTEMD))


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for the kernels, which run at the same time."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        yield pool


def test_everything_holds_in_cgroup_v2(
    under_v2_alone: Boot, under_systemd: Boot, capsys: pytest.CaptureFixture[str]
) -> None:
    passed, skipped = under_v2_alone.results()
    assert passed >= 100
    with capsys.disabled():
        print(f" [under cgroup v2: {passed} passed, {skipped} skipped]", end="")


def test_everything_holds_under_systemd(under_systemd: Boot) -> None:
    passed, _ = under_systemd.results()
    assert passed >= 25


class Boot:
    """A kernel that runs tests."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path, script: str) -> None:
        self.folder = folder
        self._console: Future[str] = pool.submit(boot, folder, script)

    def results(self) -> tuple[int, int]:
        """Wait for its end: how many tests passed and were skipped."""
        return results_of(self._console.result(), self.folder)


def run_tests(tmp_path: Path, *tests: Path) -> str:
    """Return the shell commands that run tests and leave their results on this machine."""
    return RUN_TESTS.format(
        project=shlex.quote(str(PROJECT)),
        python=shlex.quote(sys.executable),
        python_path=shlex.quote(":".join(filter(None, sys.path))),
        this=shlex.quote(__file__),
        tests=shlex.join(map(str, tests)),
    )


def boot(tmp_path: Path, script: str) -> str:
    """Boot the kernel with a script as its first process, and return what its console said."""
    results = tmp_path / "results"
    results.mkdir()
    init = tmp_path / "init"
    init.write_text(script.replace("{results}", shlex.quote(str(results))))
    init.chmod(0o755)
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, 16 << 20)
    console = start(tmp_path, init, disk)
    if TOO_MANY_REGISTERS in console:
        library = tmp_path / "all_registers.so"
        source = FOLDER / "all_registers.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        console = start(tmp_path, init, disk, LD_PRELOAD=str(library))
    return console


def start(tmp_path: Path, init: Path, disk: Path, **variables: str) -> str:
    """Let the kernel run to its end, and return what its console said."""
    command = [
        *(KERNEL, "mem=512M", "quiet", "con=null", "con0=null,fd:1"),
        *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"),
        *(f"ubd0={disk}", f"init={init}", f"uml_dir={tmp_path}"),
    ]
    with subprocess.Popen(
        command,
        # The memory of the machine is a file, which should not be on a disk.
        env={**os.environ, "TMPDIR": "/dev/shm", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as kernel:
        try:
            console, _ = kernel.communicate(timeout=PATIENCE)
        finally:
            # Its processes are processes of this machine, too.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(kernel.pid, signal.SIGKILL)
    return console.decode(errors="replace")


def results_of(console: str, tmp_path: Path) -> tuple[int, int]:
    """Return how many tests passed and were skipped, and fail if any did not hold."""
    results = tmp_path / "results"
    output = results / "output"
    said = output.read_text(errors="replace") if output.exists() else ""
    status = results / "status"
    assert status.exists(), f"The kernel ended before its tests did:\n{console}\n{said}"
    assert status.read_text().strip() == "0", said
    cases = list(ET.parse(results / "results.xml").iter("testcase"))
    reasons = {skip.get("message", "") for case in cases for skip in case.iter("skipped")}
    unexpected = {reason for reason in reasons if not reason.startswith(KNOWN_REASONS)}
    assert not unexpected, said
    skipped = sum(case.find("skipped") is not None for case in cases)
    return len(cases) - skipped, skipped
