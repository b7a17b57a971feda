"""What a container finds when it looks around: the usual checklist, ours and Docker's.

Source: what introspection tools for containers print, such as amicontained and deepce:
capabilities, seccomp, no_new_privs, namespaces, who root is, devices, and kernel files that can be
written.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from peers import docker_engine

from engine.conftest import RunningEngine

from .attacker import ROOT, TOOLS, attack

LOOK_AROUND = """
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)

def writable_below(top):
    found = []
    for folder, below, files in os.walk(top):
        if folder == "/proc":  # processes are the container's own
            below[:] = [name for name in below if not name.isdecimal()]
        found += [path for path in (f"{folder}/{name}" for name in files) if is_writable(path)]
    return found

def is_writable(path):
    if os.path.islink(path) or opens(path, os.O_WRONLY) != 0:
        return False
    return not stat.S_ISCHR(os.stat(path).st_mode)  # /dev/null, with which it is masked

def devices():
    for folder, _, files in os.walk("/dev"):
        for name in files:
            status = os.lstat(f"{folder}/{name}")
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                if opens(f"{folder}/{name}", os.O_RDWR) == 0:
                    yield f"{folder}/{name}"

def first_bytes(path):
    try:
        with open(path, "rb") as file:
            return len(file.read(16))
    except OSError:
        return 0

SECRETS = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/interrupts",
           "/proc/kallsyms", "/proc/kpagecount", "/proc/latency_stats", "/proc/acpi/wakeup",
           "/sys/firmware/dmi/tables/DMI", "/sys/kernel/security/lsm")
SETS = ("Bnd", "Prm", "Eff", "Inh", "Amb")
NAMESPACES = os.listdir("/proc/self/ns")

tell({
    "capabilities": {name: int(status[f"Cap{name}"], 16) for name in SETS},
    "seccomp": int(status["Seccomp"]),
    "no_new_privs": int(status["NoNewPrivs"]),
    "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES},
    "uid_map": open("/proc/self/uid_map").read().split(),
    "writable": [path for top in ("/proc", "/sys") for path in writable_below(top)],
    "devices": sorted(devices()),
    "secrets": [path for path in SECRETS if first_bytes(path)],
    "addresses": any(line.split()[0].strip("0") for line in open("/proc/kallsyms")),
    "mounts": [line.split()[4] for line in open("/proc/self/mountinfo")],
})
"""


@pytest.fixture(scope="module")
def ours(module_engine: RunningEngine) -> dict[str, Any]:
    """What is found in a default container."""
    found: dict[str, Any] = attack(module_engine, LOOK_AROUND)
    return found


def test_capabilities_are_dockers_fourteen(ours: dict[str, Any]) -> None:
    fourteen = 0xA80425FB
    assert ours["capabilities"] == {
        "Bnd": fourteen,
        "Prm": fourteen,
        "Eff": fourteen,
        "Inh": 0,
        "Amb": 0,
    }


def test_there_is_a_filter_and_nothing_raises_rights(ours: dict[str, Any]) -> None:
    assert ours["seccomp"] == 2
    assert ours["no_new_privs"] == 1


def test_every_namespace_but_that_of_time_is_its_own(ours: dict[str, Any]) -> None:
    shared = {
        name
        for name, number in ours["namespaces"].items()
        if number == os.readlink(f"/proc/self/ns/{name}")
    }
    assert shared == {"time", "time_for_children"} & set(ours["namespaces"])


def test_root_is_nobody_outside(ours: dict[str, Any]) -> None:
    inside, outside, _size, *_ = ours["uid_map"]
    assert inside == "0"
    assert int(outside) >= 100_000 if ROOT else int(outside) == os.getuid()


def test_no_kernel_file_can_be_written(ours: dict[str, Any]) -> None:
    # For a trigger of one's own, see Documentation/accounting/psi.rst.
    assert [path for path in ours["writable"] if not path.startswith("/proc/pressure/")] == []


def test_the_devices_that_open_are_the_harmless_ones(ours: dict[str, Any]) -> None:
    names = ("full", "null", "pts/ptmx", "random", "urandom", "zero")
    assert ours["devices"] == [f"/dev/{name}" for name in names]


def test_what_tells_about_the_host_says_nothing(ours: dict[str, Any]) -> None:
    assert set(ours["secrets"]) <= {"/proc/kallsyms"}
    assert not ours["addresses"]


def test_no_socket_and_no_folder_of_the_hosts_is_mounted(ours: dict[str, Any]) -> None:
    own = ("/proc", "/dev", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
    assert [path for path in ours["mounts"][1:] if not path.startswith(own)] == []


@pytest.fixture(scope="module")
def dockers(module_engine: RunningEngine) -> dict[str, Any]:
    """The same, found in a default container of dockerd."""
    with tempfile.TemporaryDirectory(prefix="cc-peer-", dir="/var/tmp") as name:
        archive = Path(name, "base.tar")
        image = module_engine.client.images.get(module_engine.image)
        with archive.open("wb") as file:
            file.writelines(image.save(named=True))
        with docker_engine(Path(name)) as peer:
            load = [*peer.load, "--input", str(archive)]
            subprocess.run(load, env=peer.environment, check=True, capture_output=True)
            command = peer.run_command(module_engine.image, "python3", "-c", TOOLS + LOOK_AROUND)
            done = subprocess.run(command, env=peer.environment, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.root
@pytest.mark.peer
def test_ours_is_at_least_as_strict_as_dockers(
    ours: dict[str, Any], dockers: dict[str, Any]
) -> None:
    for kind, mask in ours["capabilities"].items():
        assert mask & ~dockers["capabilities"][kind] == 0
    assert ours["seccomp"] == dockers["seccomp"] == 2
    assert ours["no_new_privs"] >= dockers["no_new_privs"]
    assert int(ours["uid_map"][1]) >= int(dockers["uid_map"][1])
    for kind in ("writable", "devices", "secrets"):
        assert set(ours[kind]) <= set(dockers[kind])
    host = {name: os.readlink(f"/proc/self/ns/{name}") for name in ours["namespaces"]}
    shared, dockers_shared = (
        {name for name, number in found["namespaces"].items() if number == host[name]}
        for found in (ours, dockers)
    )
    assert shared <= dockers_shared
