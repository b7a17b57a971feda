"""Mount options that few configurations have, and namespaces that are not what they are called."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cellcrate_runtime.linux import mounts
from cellcrate_runtime.oci.container import create
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.mount_options import with_label
from cellcrate_runtime.oci.spec import Device, IDMapping, Mount, Namespace, Spec
from oci.identities import Identity


def with_mounts(identity: Identity, script: str, *wanted: Mount) -> Spec:
    spec = identity.spec("sh", "-c", script)
    spec.mounts += wanted
    return spec


def tmpfs(destination: str, *options: str) -> Mount:
    return Mount(destination=destination, type="tmpfs", source="tmpfs", options=list(options))


def options_of(identity: Identity, place: str, *wanted: Mount) -> set[str]:
    """The options of what is mounted last at a place."""
    outcome = identity.run(with_mounts(identity, "cat /proc/self/mountinfo", *wanted))
    assert outcome.status == 0, outcome.stderr
    lines = [line.split() for line in outcome.stdout.splitlines()]
    return set(next(line[5] for line in reversed(lines) if line[4] == place).split(","))


def test_a_destination_without_a_slash_is_below_the_root(identity: Identity) -> None:
    assert "rw" in options_of(identity, "/data/x", tmpfs("data/x"))


def test_mounts_are_listed_in_the_order_of_the_configuration(identity: Identity) -> None:
    source = str(identity.base / "root/etc")
    spec = with_mounts(
        identity,
        "cat /proc/self/mountinfo",
        tmpfs("/data/first"),
        Mount(destination="/data/second", source=source, options=["rbind"]),
        tmpfs("/data/third"),
        Mount(destination="/data/fourth", source=source, options=["bind", "unbindable"]),
        tmpfs("/data/fifth"),
    )
    outcome = identity.run(spec)
    assert outcome.status == 0, outcome.stderr
    listed = [line.split()[4] for line in outcome.stdout.splitlines()]
    places = [mount.destination for mount in spec.mounts]
    assert [place for place in listed if place in places] == places


def test_a_place_in_dev_is_mounted_twice(identity: Identity) -> None:
    terminals = Mount(destination="/dev/pts", type="devpts", options=["newinstance", "noexec"])
    assert "noexec" in options_of(identity, "/dev/pts", terminals)


def test_new_file_systems_are_labelled_for_selinux() -> None:
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    assert with_label(["ro"], "tmpfs", label) == ["ro", f'context="{label}"']
    assert with_label(["ro"], "proc", label) == ["ro"]
    assert with_label(["context=x"], "devpts", label) == ["context=x"]


def test_recursive_options_of_a_new_file_system(identity: Identity) -> None:
    found = options_of(identity, "/data", tmpfs("/data", "rro", "rnosuid", "rnoexec"))
    assert {"ro", "nosuid", "noexec"} <= found


def test_a_remount(identity: Identity) -> None:
    again = Mount(destination="/data", options=["remount", "bind", "ro", "nosuid"])
    assert {"ro", "nosuid"} <= options_of(identity, "/data", tmpfs("/data"), again)


def test_a_remount_of_a_file_system_changes_its_size(identity: Identity) -> None:
    again = tmpfs("/data", "remount", "size=8k")
    script = "stat -f -c '%b %S' /data"
    outcome = identity.run(with_mounts(identity, script, tmpfs("/data", "size=64k"), again))
    blocks, size = map(int, outcome.stdout.split())
    assert blocks * size == 8192


def test_a_remount_of_a_file(identity: Identity) -> None:
    source = str(identity.base / "root/etc/passwd")
    first = Mount(destination="/data/file", source=source, options=["bind"])
    again = Mount(destination="/data/file", options=["remount", "bind", "ro"])
    assert "ro" in options_of(identity, "/data/file", first, again)


@pytest.mark.root
def test_mappings_of_a_mount_are_used_without_a_word_too(base: Path) -> None:
    identity = Identity("host", 0, base)
    (base / "scratch" / "owned").touch()
    shift = [IDMapping(container_id=0, host_id=500, size=100)]
    source = str(base / "scratch" / "owned")
    mount = Mount(
        destination="/data/file",
        source=source,
        options=["bind"],
        uid_mappings=shift,
        gid_mappings=shift,
    )
    outcome = identity.run(with_mounts(identity, "stat -c '%u %g' /data/file", mount))
    assert outcome.stdout == "500 500\n", outcome.stderr


def test_a_device_does_not_cover_another_one(identity: Identity) -> None:
    zero = Mount(destination="/data/device", source="/dev/zero", options=["bind"])
    spec = with_mounts(identity, "true", zero)
    assert spec.linux is not None
    spec.linux.devices = [Device(path="/data/device", type="c", major=1, minor=3)]
    with pytest.raises(OCIError, match="cannot make the device /data/device"):
        identity.run(spec)


@pytest.mark.root
@pytest.mark.parametrize(("propagation", "arrives"), [("slave", True), ("private", False)])
def test_what_is_mounted_outside_later(base: Path, propagation: str, arrives: bool) -> None:
    identity = Identity("host", 0, base)
    spec = identity.spec("sleep", "60")
    assert spec.linux is not None
    spec.linux.rootfs_propagation = propagation

    def work(root: str) -> bool:
        mounts.set_propagation(root, mounts.MS_SHARED)
        first = create(spec, rootfs=root, stdio=None, cgroup=None)
        first.start()
        try:
            mounts.mount("tmpfs", f"{root}/data", "tmpfs", 0)
            return " /data " in Path(f"/proc/{first.pid}/mountinfo").read_text()
        finally:
            signal.pidfd_send_signal(first.pidfd, signal.SIGKILL)
            os.waitpid(first.pid, 0)

    assert identity.in_shim(work) is arrives


def test_a_namespace_of_another_type_is_refused(identity: Identity) -> None:
    spec = identity.spec("true")
    assert spec.linux is not None
    others = [each for each in spec.linux.namespaces if each.type != "uts"]
    spec.linux.namespaces = [*others, Namespace(type="uts", path="/proc/self/ns/net")]
    with pytest.raises(OCIError, match="/proc/self/ns/net is no uts namespace") as caught:
        identity.run(spec)
    assert caught.value.kind == "invalid"
    spec.linux.namespaces[-1] = Namespace(type="uts", path="/dev/null")
    with pytest.raises(OCIError, match="/dev/null is no uts namespace"):
        identity.run(spec)
