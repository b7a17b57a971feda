"""Docker's configuration of a container, translated to an OCI document; no kernel needed."""

from __future__ import annotations

import pytest

from cellcrate_runtime.engine import limits
from cellcrate_runtime.engine.api.types import (
    ContainerConfig,
    DeviceMapping,
    HostConfig,
    MountSpec,
    TmpfsOptions,
    Ulimit,
)
from cellcrate_runtime.engine.container import Definition
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.oci_config import Surroundings, make_spec
from cellcrate_runtime.engine.oci_config.environment import merge
from cellcrate_runtime.engine.oci_config.modes import check_modes
from cellcrate_runtime.oci.spec import IDMapping, Mount, Spec

IDS = [IDMapping(container_id=0, host_id=1_000_000, size=65536)]
OTHER = "f" * 64


def spec(host: HostConfig | None = None, pid: int = 0, **config: object) -> Spec:
    """The document of a container in a user namespace."""
    definition = Definition(
        id="a" * 64,
        name="test",
        created=0,
        image="sha256:0",
        path="/bin/true",
        args=["now"],
        config=ContainerConfig(hostname="box", **config),  # type: ignore[arg-type]
        host_config=host or HostConfig(),
    )
    modes = check_modes(definition.host_config, lambda reference: OTHER)
    mappings = [] if definition.host_config.userns_mode == "host" else IDS
    around = Surroundings("/rootfs", cgroup="/c", id_mappings=mappings, partner_pid=pid)
    return make_spec(definition, modes, around)


def mount(document: Spec, destination: str) -> Mount:
    [found] = [mount for mount in document.mounts if mount.destination == destination]
    return found


def namespaces(document: Spec) -> dict[str, str]:
    assert document.linux is not None
    return {namespace.type: namespace.path for namespace in document.linux.namespaces}


def test_the_default_is_walled_in() -> None:
    document = spec()
    assert document.process is not None
    assert document.linux is not None
    assert set(namespaces(document)) == {
        *("mount", "user", "network", "pid", "ipc", "uts", "cgroup")
    }
    assert document.process.no_new_privileges
    assert document.process.capabilities is not None
    assert len(document.process.capabilities.bounding) == 14
    assert document.process.capabilities.ambient == []
    assert document.linux.seccomp is not None
    assert "/proc/kcore" in document.linux.masked_paths
    assert "/proc/sys" in document.linux.readonly_paths
    assert document.linux.resources is not None
    assert not document.linux.resources.devices[0].allow


def test_privileged_takes_the_walls_down() -> None:
    document = spec(HostConfig(privileged=True, userns_mode="host"))
    assert document.process is not None
    assert document.linux is not None
    assert document.process.capabilities is not None
    assert document.linux.seccomp is None
    assert document.linux.masked_paths == document.linux.readonly_paths == []
    assert not document.process.no_new_privileges
    assert document.linux.resources is not None
    assert [rule.allow for rule in document.linux.resources.devices] == [True]
    assert "/dev/null" in [device.path for device in document.linux.devices]
    assert "user" not in namespaces(document)
    assert "rw" in mount(document, "/sys").options


def test_capabilities_are_added_and_dropped() -> None:
    document = spec(HostConfig(cap_add=["net_admin"], cap_drop=["CAP_CHOWN"]))
    assert document.process is not None
    assert document.process.capabilities is not None
    bounding = document.process.capabilities.bounding
    assert "CAP_NET_ADMIN" in bounding
    assert "CAP_CHOWN" not in bounding


def test_all_capabilities_but_one() -> None:
    document = spec(HostConfig(cap_drop=["ALL"], cap_add=["KILL"]))
    assert document.process is not None
    assert document.process.capabilities is not None
    assert document.process.capabilities.effective == ["CAP_KILL"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("no-new-privileges=false", False),
        ("no-new-privileges:false", False),
        ("no-new-privileges", True),
        ("no-new-privileges:true", True),
    ],
)
def test_no_new_privileges_can_be_turned_off(option: str, expected: bool) -> None:
    document = spec(HostConfig(security_opt=[option]))
    assert document.process is not None
    assert document.process.no_new_privileges is expected


def test_seccomp_unconfined() -> None:
    document = spec(HostConfig(security_opt=["seccomp=unconfined"]))
    assert document.linux is not None
    assert document.linux.seccomp is None


def test_a_profile_of_ones_own_is_narrowed_to_capabilities_and_machine() -> None:
    profile = """{
      "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
      "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                  {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
      "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}},
        {"name": "write", "action": "SCMP_ACT_ALLOW"},
        {"names": ["reboot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_BOOT"]}},
        {"names": ["chown"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["old"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}}
      ]}"""
    document = spec(HostConfig(security_opt=[f"seccomp={profile}"]))
    assert document.linux is not None
    assert document.linux.seccomp is not None
    names = [name for rule in document.linux.seccomp.syscalls for name in rule.names]
    assert names == ["read", "write"]
    assert len(document.linux.seccomp.architectures) == 2


def test_environment_defaults_yield_to_what_was_given() -> None:
    document = spec(env=["PATH=/mine", "A=1"], tty=True)
    assert document.process is not None
    assert document.process.env == ["PATH=/mine", "HOSTNAME=box", "TERM=xterm", "A=1"]


def test_a_bare_name_takes_a_variable_away() -> None:
    assert merge(["A=1", "B=2"], ["A", "C=3"]) == ["B=2", "C=3"]


def test_volumes_are_id_mapped_and_sorted() -> None:
    host = HostConfig(
        binds=["/usr:/data/deep:ro,rslave", "/etc:/data"],
        mounts=[MountSpec(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(size_bytes=4096))],
    )
    document = spec(host)
    assert mount(document, "/data/deep").options == ["rbind", "rslave", "ro", "idmap"]
    assert "size=4096" in mount(document, "/t").options
    order = [mount.destination for mount in document.mounts]
    assert order.index("/data") < order.index("/data/deep")


def test_a_volume_replaces_a_default_mount() -> None:
    document = spec(HostConfig(tmpfs={"/dev/shm": "size=1m,exec"}))
    assert mount(document, "/dev/shm").options[-2:] == ["size=1m", "exec"]


def test_shm_size() -> None:
    assert "size=4096" in mount(spec(HostConfig(shm_size=4096)), "/dev/shm").options


def test_the_hosts_network_brings_the_hosts_sysfs() -> None:
    document = spec(HostConfig(network_mode="host"))
    assert "network" not in namespaces(document)
    assert mount(document, "/sys").type == "bind"
    assert "ro" in mount(document, "/sys").options


def test_sharing_with_a_container_shares_its_user_namespace() -> None:
    document = spec(HostConfig(network_mode="container:other"), pid=77)
    assert namespaces(document)["network"] == "/proc/77/ns/net"
    assert namespaces(document)["user"] == "/proc/77/ns/user"
    assert namespaces(document)["pid"] == ""


def test_sharing_with_two_containers_is_refused() -> None:
    host = HostConfig(network_mode="container:one", pid_mode="container:two")
    with pytest.raises(BadRequestError, match="one other container only"):
        check_modes(host, lambda reference: reference)


def test_ulimits() -> None:
    document = spec(HostConfig(ulimits=[Ulimit(name="core", soft=0, hard=0)]))
    assert document.process is not None
    [limit] = document.process.rlimits
    assert (limit.type, limit.soft, limit.hard) == ("RLIMIT_CORE", 0, 0)


def test_devices() -> None:
    mapping = DeviceMapping(path_on_host="/dev/full", path_in_container="/dev/x")
    host = HostConfig(devices=[mapping], device_cgroup_rules=["c 13:* r"])
    document = spec(host)
    assert document.linux is not None
    assert document.linux.devices == [], "in a user namespace nobody can make device nodes"
    assert (mount(document, "/dev/x").type, mount(document, "/dev/x").source) == (
        *("bind", "/dev/full"),
    )
    assert document.linux.resources is not None
    assert document.linux.resources.devices[-2].major == 1
    assert document.linux.resources.devices[-1].minor is None


def test_limits() -> None:
    document = spec(HostConfig(memory=64 << 20, nano_cpus=1_500_000_000, pids_limit=0))
    assert document.linux is not None
    resources = document.linux.resources
    assert resources is not None
    assert resources.memory is not None
    assert resources.cpu is not None
    assert resources.pids is not None
    assert (resources.memory.limit, resources.memory.swap) == (64 << 20, 128 << 20)
    assert (resources.cpu.quota, resources.cpu.period) == (150_000, 100_000)
    assert resources.pids.limit == -1


def test_swap_is_left_alone_where_the_kernel_does_not_count_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "_counts_swap", lambda: False)
    memory = limits.resources_of(HostConfig(memory=64 << 20)).memory
    assert memory is not None
    assert (memory.limit, memory.swap) == (64 << 20, None)


@pytest.mark.parametrize("name", ["net.ipv4.ip_forward", "kernel.shmmax", "fs.mqueue.msg_max"])
def test_sysctls_of_a_namespace(name: str) -> None:
    document = spec(HostConfig(sysctls={name: "1"}))
    assert document.linux is not None
    assert document.linux.sysctl == {name: "1"}


def test_a_sysctl_of_a_shared_namespace_is_refused() -> None:
    with pytest.raises(BadRequestError, match="not in a separate kernel namespace"):
        spec(HostConfig(network_mode="host", sysctls={"net.ipv4.ip_forward": "1"}))


def test_devices_without_a_user_namespace() -> None:
    mapping = DeviceMapping(path_on_host="/dev/full", path_in_container="/dev/x")
    document = spec(HostConfig(devices=[mapping], userns_mode="host"))
    assert document.linux is not None
    [device] = document.linux.devices
    assert (device.path, device.major, device.minor) == ("/dev/x", 1, 7)
