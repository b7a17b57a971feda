"""Control groups that a real systemd makes.

Where the machine has none, these tests are run in User Mode Linux, by
tests/linux/cgroups/test_in_user_mode_linux.py.
"""

from __future__ import annotations

import codecs
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cellcrate_runtime.linux
import cellcrate_runtime.oci
from cellcrate_runtime.linux import cgroups
from cellcrate_runtime.oci.command import run_command
from linux.cgroups.conftest import AsSomebody, as_somebody, somebody
from oci import roots
from oci_command.program import Bundle, Program

__all__ = ["as_somebody", "somebody"]  # fixtures, found by their names

pytestmark = pytest.mark.root  # and becomes an ordinary user itself

MEBIBYTE = 1 << 20
TREE = Path("/sys/fs/cgroup")
LIMITS = {
    "memory": {"limit": 64 * MEBIBYTE, "reservation": 16 * MEBIBYTE},
    "cpu": {"shares": 512, "quota": 25_000, "period": 50_000},
    "pids": {"limit": 40},
}


@pytest.fixture(autouse=True)
def manager() -> None:
    if not Path("/run/systemd/system").is_dir() or cgroups.hierarchy().kind != "v2":
        pytest.skip("There is no systemd here with cgroup v2.")


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fewer programs than usual, since these tests may run where processes are slow to make."""
    folder = tmp_path_factory.mktemp("root") / "root"
    roots.fill(folder, "sh sleep cat mkdir")
    return folder


@pytest.fixture
def asking(program: Program) -> Program:
    """The program, asking systemd."""
    return Program(program.root, "--systemd-cgroup")


@pytest.fixture
def limited(asking: Program, bundle: Bundle) -> Path:
    """The control group of a container ``c1`` with limits, in the slice ``a-b.slice``."""
    bundle.document["linux"]["cgroupsPath"] = "a-b.slice:test:one"
    bundle.document["linux"]["resources"].update(LIMITS)
    asking.do("run", "--detach", f"--bundle={bundle.write('sleep', '1000')}", "c1")
    return TREE / "a.slice/a-b.slice/test-one.scope"


def show(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    command = ["systemctl", "show", unit, *(f"--property={name}" for name in names)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def files(group: Path, *names: str) -> list[str]:
    """What some files of a control group say."""
    return [(group / name).read_text().strip() for name in names]


def test_the_scope_has_the_limits_and_keeps_them(program: Program, limited: Path) -> None:
    (pid,) = files(limited, "cgroup.procs")
    assert json.loads(program.do("state", "c1"))["pid"] == int(pid)
    assert show("test-one.scope", "MemoryMax", "MemoryLow", "TasksMax", "Slice", "Delegate") == {
        "MemoryMax": str(64 * MEBIBYTE),
        "MemoryLow": str(16 * MEBIBYTE),
        "TasksMax": "40",
        "Slice": "a-b.slice",
        "Delegate": "yes",
    }
    said = show("test-one.scope", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "CPUWeight")
    assert said["CPUQuotaPerSecUSec"] == "500ms"
    assert said["CPUQuotaPeriodUSec"] == "50ms"
    names = ["memory.max", "memory.low", "pids.max", "cpu.max", "cpu.weight"]
    limits = files(limited, *names)
    weight = said["CPUWeight"]
    assert limits == [str(64 * MEBIBYTE), str(16 * MEBIBYTE), "40", "25000 50000", weight]
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert files(limited, *names) == limits


def test_what_is_executed_is_in_the_scope(program: Program, limited: Path) -> None:
    program.do("exec", "--detach", "c1", "sleep", "1000")
    assert len(files(limited, "cgroup.procs")[0].split()) == 2


def test_an_update_reaches_both(program: Program, limited: Path) -> None:
    program.do("update", f"--memory={32 * MEBIBYTE}", "--pids-limit=30", "c1")
    assert files(limited, "memory.max", "pids.max") == [str(32 * MEBIBYTE), "30"]
    assert show("test-one.scope", "MemoryMax", "TasksMax") == {
        "MemoryMax": str(32 * MEBIBYTE),
        "TasksMax": "30",
    }


@pytest.mark.parametrize("force", [True, False])
def test_nothing_is_left_of_it(program: Program, limited: Path, force: bool) -> None:
    if force:
        program.do("delete", "--force", "c1")
    else:
        program.do("kill", "c1", "KILL")
        while program.status("c1") != "stopped":
            pass
        program.do("delete", "c1")
    assert not limited.exists()
    assert show("test-one.scope", "LoadState") == {"LoadState": "not-found"}


def test_the_name_is_the_containers_and_annotations_are_properties(
    asking: Program, bundle: Bundle
) -> None:
    bundle.document["linux"]["cgroupsPath"] = ""
    bundle.document["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.Documentation": "['man:sleep(1)', 'man:sh(1)']",
    }
    asking.do("create", f"--bundle={bundle.write('sleep', '1000')}", "c2")
    assert show("cellcrate-c2.scope", "TimeoutStopUSec", "Documentation", "Slice") == {
        "TimeoutStopUSec": "7s",
        "Documentation": '"man:sleep(1)" "man:sh(1)"',
        "Slice": "system.slice",
    }


def load_all() -> None:
    """Load every module now: an ordinary user may not read this Python."""
    for package in (cellcrate_runtime.linux, cellcrate_runtime.oci):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for encoding in ("ascii", "latin-1", "idna"):
        codecs.lookup(encoding)


@pytest.fixture
def of_somebody(somebody: int, rootfs: Path) -> Iterator[Path]:
    """A folder of an ordinary user's, with a copy of the root file system."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        shutil.copytree(rootfs, folder / "root", symlinks=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, somebody, somebody, follow_symlinks=False)
        yield folder


def test_an_ordinary_user_asks_the_systemd_of_their_own(
    as_somebody: AsSomebody, somebody: int, of_somebody: Path
) -> None:
    load_all()
    own = TREE / f"user.slice/user-{somebody}.slice/user@{somebody}.service"
    group = own / "user.slice/cellcrate-c1.scope"

    def call(*words: str) -> None:
        def command() -> None:
            root = of_somebody / "state"
            assert run_command([f"--root={root}", "--systemd-cgroup", *words]) == 0

        as_somebody(command)

    call("spec", "--rootless", f"--bundle={of_somebody}")
    file = of_somebody / "config.json"
    document: dict[str, Any] = json.loads(file.read_text())
    document["process"].update(terminal=False, args=["sleep", "1000"], rlimits=[])
    document["root"]["path"] = str(of_somebody / "root")
    document["linux"]["resources"] = {"pids": {"limit": 20}}
    file.write_text(json.dumps(document))
    call("run", "--detach", f"--bundle={of_somebody}", "c1")
    try:
        assert files(group, "pids.max") == ["20"]
        call("exec", "--detach", "c1", "sleep", "1000")
        assert len(files(group, "cgroup.procs")[0].split()) == 2
        call("update", "--pids-limit=30", "c1")
        assert files(group, "pids.max") == ["30"]
    finally:
        call("delete", "--force", "c1")
    assert not group.exists()
