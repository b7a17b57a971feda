"""The walls: what a container has of its own, and what it cannot reach."""

from __future__ import annotations

import os
import socket

import pytest

from cellcrate_runtime.oci.container import create
from cellcrate_runtime.oci.spec import Linux, Namespace, Spec, TimeOffset
from oci.identities import Identity, run_to_end


def linux_of(spec: Spec) -> Linux:
    assert spec.linux is not None
    return spec.linux


@pytest.mark.parametrize("kind", ["mnt", "pid", "net", "uts", "ipc", "cgroup", "user"])
def test_each_namespace_is_new(identity: Identity, kind: str) -> None:
    outcome = identity.sh(f"readlink /proc/self/ns/{kind}")
    same = outcome.stdout.strip() == os.readlink(f"/proc/self/ns/{kind}")
    assert same == (kind == "user" and identity.name == "host")


def test_the_program_is_pid_1_of_few(identity: Identity) -> None:
    outcome = identity.sh("echo $$; ps -A -o pid=,comm=")
    assert outcome.stdout.split() == ["1", "1", "sh", "2", "ps"]


def test_only_the_containers_mounts_are_there(identity: Identity) -> None:
    lines = identity.sh("cat /proc/self/mountinfo").stdout.splitlines()
    places = [line.split()[4] for line in lines]
    inside = ("/proc", "/dev", "/sys")
    assert places[0] == "/"
    assert [p for p in places[1:] if not p.startswith(inside)] == []


def test_no_path_of_the_host_is_reachable(identity: Identity) -> None:
    outcome = identity.sh(f"ls /; ls {identity.base} /proc/1/root/var/tmp ; echo /../*; ls /..")
    assert "var" not in outcome.stdout
    assert "No such file" in outcome.stderr


def test_writes_land_in_the_upper_layer_as_the_right_user(identity: Identity) -> None:
    spec = identity.spec("sh", "-c", "echo hello > /data/file; stat -c %u:%g /data/file")
    owners = identity.in_shim(lambda root: _write_and_look(identity, spec, root))
    inside, through_the_mount = owners
    assert inside == "0:0\n"
    # A rootless shim is itself in the user namespace, and so sees its user as root.
    expected = 0 if identity.name == "rootless" else identity.outside_root
    assert through_the_mount == expected


def _write_and_look(identity: Identity, spec: Spec, root: str) -> tuple[str, int]:
    outcome = run_to_end(spec, root)
    assert outcome.status == 0, outcome.stderr
    return outcome.stdout, os.stat(f"{root}/data/file").st_uid


def test_mapped_ids_are_the_containers_on_disk(mapped: Identity) -> None:
    def look(root: str) -> int:
        spec = mapped.spec("sh", "-c", "touch /data/a; chown 1000:50 /data/a")
        assert run_to_end(spec, root).status == 0
        return os.stat(os.path.dirname(root) + "/u/data/a").st_uid

    assert mapped.in_shim(look) == 1000


def test_root_of_the_container_is_not_root_of_the_host(mapped: Identity) -> None:
    outcome = mapped.sh("cat /proc/self/uid_map; echo x > /proc/sysrq-trigger")
    assert outcome.stdout.split()[:2] == ["0", str(mapped.outside_root)]
    assert mapped.outside_root > 65536
    assert outcome.status != 0


def test_masked_files_are_empty_and_folders_too(identity: Identity) -> None:
    outcome = identity.sh("cat /proc/keys /proc/kcore | head -c 10 | wc -c; ls -A /sys/firmware")
    assert outcome.stdout.split() == ["0"]


def test_masked_files_are_the_containers_own_null(identity: Identity) -> None:
    outcome = identity.sh("stat -c '%d %t:%T' /proc/keys /dev/null")
    masked, null = outcome.stdout.splitlines()
    assert masked == null
    assert null.endswith(" 1:3")


def test_a_path_that_is_named_twice_is_masked_once(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        linux_of(spec).masked_paths.append("/proc/keys")

    assert identity.sh("grep -c ' /proc/keys ' /proc/mounts", change).stdout == "1\n"


def test_masks_cannot_be_taken_off(identity: Identity) -> None:
    outcome = identity.sh("umount /proc/keys; cat /proc/keys | wc -c")
    assert outcome.stdout.split() == ["0"]
    assert outcome.stderr


def test_read_only_paths_cannot_be_written(identity: Identity) -> None:
    outcome = identity.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert outcome.status != 0
    assert "Read-only file system" in outcome.stderr


def test_sys_is_read_only(identity: Identity) -> None:
    outcome = identity.sh("mkdir /sys/fs/cgroup/x; touch /sys/x")
    assert outcome.stderr.count("Read-only file system") == 2


def test_a_read_only_root(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        assert spec.root is not None
        spec.root.readonly = True

    outcome = identity.sh("touch /x; touch /dev/shm/y && echo shm", change)
    assert "Read-only file system" in outcome.stderr
    assert outcome.stdout == "shm\n"


def test_loopback_is_up_and_alone(identity: Identity) -> None:
    outcome = identity.sh("cat /proc/net/dev; cat /sys/class/net/lo/flags")
    lines = outcome.stdout.splitlines()
    names = [line.split(":")[0].strip() for line in lines[2:-1]]
    assert names == ["lo"]
    assert int(lines[-1], 16) & 1  # IFF_UP


def test_the_host_name_is_the_containers(identity: Identity) -> None:
    before = socket.gethostname()
    assert identity.sh("hostname; uname -n").stdout == "box\nbox\n"
    assert socket.gethostname() == before


def test_the_own_cgroup_is_the_top_of_the_tree(identity: Identity) -> None:
    for line in identity.sh("cat /proc/self/cgroup").stdout.splitlines():
        assert line.endswith(":/")


def test_sharing_the_hosts_network(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        linux = linux_of(spec)
        linux.namespaces = [n for n in linux.namespaces if n.type != "network"]

    outcome = identity.sh("readlink /proc/self/ns/net; ls /sys/class/net", change)
    assert outcome.status == 0, outcome.stderr
    namespace, *names = outcome.stdout.split()
    assert namespace == os.readlink("/proc/self/ns/net")
    assert "lo" in names


def test_joining_anothers_namespaces(identity: Identity) -> None:
    def share(root: str) -> tuple[str, str]:
        first_spec = identity.spec("sleep", "60")
        first = create(first_spec, rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            spec = identity.spec("sh", "-c", "readlink /proc/self/ns/net; ps -A -o comm=")
            linux = linux_of(spec)
            kept = [n for n in linux.namespaces if n.type not in ("network", "pid", "user")]
            joined = ["network", "pid", *(["user"] if identity.maps_ids else [])]
            files = {"network": "net", "pid": "pid", "user": "user"}
            linux.namespaces = [
                *kept,
                *(Namespace(type=t, path=f"/proc/{first.pid}/ns/{files[t]}") for t in joined),  # type: ignore[arg-type]
            ]
            linux.uid_mappings = linux.gid_mappings = []
            outcome = run_to_end(spec, root)
            assert outcome.status == 0, outcome.stderr
            return os.readlink(f"/proc/{first.pid}/ns/net"), outcome.stdout
        finally:
            os.kill(first.pid, 9)
            os.waitpid(first.pid, 0)

    namespace, output = identity.in_shim(share)
    assert output.split() == [namespace, "sleep", "sh", "ps"]


def test_a_time_namespace_with_another_clock(identity: Identity) -> None:
    def change(spec: Spec) -> None:
        linux = linux_of(spec)
        linux.namespaces.append(Namespace(type="time"))
        linux.time_offsets = {"boottime": TimeOffset(secs=1_000_000)}

    outcome = identity.sh("cat /proc/uptime", change)
    with open("/proc/uptime") as file:
        outside = float(file.read().split()[0])
    assert 1_000_000 <= float(outcome.stdout.split()[0]) <= outside + 1_000_000
