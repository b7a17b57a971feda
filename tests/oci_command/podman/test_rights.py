"""podman run: capabilities, seccomp, users, limits, kernel settings and devices."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from cellcrate_runtime.linux.cgroups import Cgroup
from oci_command.podman.client import IMAGE, Podman


def _field(podman: Podman, name: str, *options: str) -> str:
    """A line of ``/proc/self/status``."""
    return podman.run(*options, "grep", f"^{name}:", "/proc/self/status").split()[1]


def test_capabilities(podman: Podman) -> None:
    assert int(_field(podman, "CapEff", "--cap-drop=all"), 16) == 0
    assert int(_field(podman, "CapEff", "--cap-drop=all", "--cap-add=chown"), 16) == 1
    usual = int(_field(podman, "CapEff"), 16)
    assert int(_field(podman, "CapEff", "--cap-drop=kill"), 16) == usual & ~(1 << 5)


def test_capabilities_of_an_ordinary_user_are_ambient(podman: Podman) -> None:
    assert int(_field(podman, "CapEff", "--user=1000"), 16) == 0
    assert int(_field(podman, "CapAmb", "--user=1000", "--cap-add=chown"), 16) == 1


def test_a_privileged_container_has_them_all(podman: Podman) -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    own = int(_own("CapBnd"), 16) if os.geteuid() == 0 else (1 << last + 1) - 1
    assert int(_field(podman, "CapEff", "--privileged"), 16) == own


def test_a_seccomp_profile_from_a_file(podman: Podman, tmp_path: Path) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    done = podman.try_run(f"--security-opt=seccomp={profile}", "mkdir", "/tmp/new")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def test_no_seccomp_profile(podman: Podman) -> None:
    assert _field(podman, "Seccomp") == "2"
    assert _field(podman, "Seccomp", "--security-opt=seccomp=unconfined") == _own("Seccomp")


def test_no_new_privileges(podman: Podman) -> None:
    assert _field(podman, "NoNewPrivs") == "0"
    assert _field(podman, "NoNewPrivs", "--security-opt=no-new-privileges") == "1"


def test_paths_are_masked_and_shown(podman: Podman) -> None:
    assert podman.run("--security-opt=mask=/etc/passwd", "cat", "/etc/passwd") == ""
    script = "grep -c ' /proc/' /proc/self/mountinfo"
    masked = int(podman.run("sh", "-c", script))
    done = podman.try_run("--security-opt=unmask=ALL", "sh", "-c", script)
    assert int(done.stdout) < masked


def test_users_and_groups(podman: Podman) -> None:
    assert podman.run("--user=1000:50", "id").startswith("uid=1000(alice) gid=50(staff)")
    assert "50(staff)" in podman.run("--user=alice", "--group-add=staff", "id")
    assert podman.run("--umask=0077", "sh", "-c", "umask") == "0077\n"


def test_limits_of_processes(podman: Podman) -> None:
    options = ["--ulimit=core=10:20", "--ulimit=nofile=512:1000", "--ulimit=nproc=500:1000"]
    said = podman.run(*options, "grep", "^Max", "/proc/self/limits")
    assert re.search(r"core file size +10 +20 ", said)
    assert re.search(r"open files +512 +1000 ", said)
    assert re.search(r"processes +500 +1000 ", said)


def test_a_setting_of_the_kernel(podman: Podman) -> None:
    port = "net.ipv4.ip_unprivileged_port_start"
    path = f"/proc/sys/{port.replace('.', '/')}"
    assert podman.run(f"--sysctl={port}=81", "cat", path) == "81\n"


def test_the_victim_of_the_oom_killer(podman: Podman) -> None:
    assert podman.run("--oom-score-adj=321", "cat", "/proc/self/oom_score_adj") == "321\n"


def test_a_device_that_everybody_may_open(podman: Podman) -> None:
    script = "echo > /dev/other && stat -c %t:%T /dev/other"
    assert podman.run("--device=/dev/null:/dev/other", "sh", "-c", script) == "1:3\n"


@pytest.mark.root
def test_a_device_of_roots(podman: Podman) -> None:
    options = ["--device=/dev/fuse:/dev/other:r"]
    script = "true < /dev/other && echo opened; true > /dev/other || echo refused"
    assert podman.run(*options, "sh", "-c", script) == "opened\nrefused\n"


@pytest.mark.usefixtures("limits")
def test_limits_of_the_control_group(podman: Podman) -> None:
    options = ["--memory=64m", "--pids-limit=50", "--cpus=0.5", "--name=c2", "--network=none"]
    podman.do("run", "--detach", *options, IMAGE, "sleep", "1000")
    stats = Cgroup.open(podman.inspect("c2", ".State.CgroupPath")).stats()
    podman.do("rm", "--force", "--time=0", "c2")
    assert stats.memory is not None
    assert stats.memory.limit == 64 << 20
    assert stats.pids is not None
    assert stats.pids.limit == 50


def _own(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
