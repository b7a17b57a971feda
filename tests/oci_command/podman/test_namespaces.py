"""podman run with namespaces of others, of the host and none, and with mapped ids."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oci_command.podman.client import Podman, owners_of_ids

_ALL_IDS = ["0", "0", "4294967295"]


def _link(kind: str) -> list[str]:
    return ["readlink", f"/proc/self/ns/{kind}"]


def test_namespaces_of_another_container(podman: Podman, running: str) -> None:
    shared = [f"--{kind}=container:{running}" for kind in ("pid", "ipc", "network")]
    assert podman.run(*shared, "cat", "/proc/1/cmdline").startswith("sh\0-c\0trap")


@pytest.mark.parametrize(
    ("option", "kind"),
    [("pid", "pid"), ("ipc", "ipc"), ("uts", "uts"), ("cgroupns", "cgroup")],
)
def test_a_namespace_of_its_own_or_of_the_host(podman: Podman, option: str, kind: str) -> None:
    host = os.readlink(f"/proc/self/ns/{kind}")
    if option == "ipc" and os.geteuid() and not Path("/dev/mqueue").exists():
        pytest.skip("there is no /dev/mqueue here, which podman takes from the host")
    assert podman.run(f"--{option}=private", *_link(kind)).strip() != host
    assert podman.run(f"--{option}=host", *_link(kind)).strip() == host


def test_the_network_of_the_host(podman: Podman) -> None:
    host = os.readlink("/proc/self/ns/net")
    assert podman.run("--network=host", *_link("net")).strip() == host


def test_no_network_is_a_loopback_alone(podman: Podman) -> None:
    assert podman.run("--network=none", "ls", "/sys/class/net") == "lo\n"


@pytest.mark.root
def test_a_container_has_the_hosts_ids(podman: Podman) -> None:
    assert podman.run("--userns=host", "cat", "/proc/self/uid_map").split() == _ALL_IDS


@pytest.mark.root
def test_ids_of_its_own(podman: Podman) -> None:
    mapping = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
    said = podman.run(*mapping, "cat", "/proc/self/uid_map")
    assert said.split() == ["0", "100000", "65536"]


def test_ids_that_podman_chooses(podman: Podman) -> None:
    if os.geteuid() == 0 and not owners_of_ids():
        pytest.skip("no user has subordinate ids that podman could take")
    inside, outside, size = podman.run(
        "--userns=auto:size=2000", "cat", "/proc/self/uid_map"
    ).split()
    assert (inside, size) == ("0", "2000")
    assert outside != "0"


@pytest.mark.rootless
@pytest.mark.skipif(os.geteuid() == 0, reason="podman keeps the id of ordinary users alone")
def test_the_users_own_id_is_kept(podman: Podman) -> None:
    assert podman.run("--userns=keep-id", "id", "-u").strip() == str(os.geteuid())
    assert podman.run("--userns=host", "id", "-u").strip() == "0"


@pytest.mark.rootless
@pytest.mark.skipif(os.geteuid() == 0, reason="root is mapped to itself")
def test_root_inside_is_the_user_outside(podman: Podman) -> None:
    first = podman.run("cat", "/proc/self/uid_map").splitlines()[0]
    assert first.split() == ["0", str(os.geteuid()), "1"]


def test_a_name_and_other_hosts(podman: Podman) -> None:
    said = podman.run(
        "--hostname=box", "--add-host=away:127.0.0.9", "sh", "-c", "hostname; cat /etc/hosts"
    )
    assert said.startswith("box\n")
    assert "127.0.0.9\taway" in said
