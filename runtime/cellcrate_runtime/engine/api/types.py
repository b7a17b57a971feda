"""Bodies of the Docker Engine API, version 1.47, that create and update a container.

Source: the API's definition (moby, api/swagger.yaml) and Go types (api/types/container). Sizes are
in bytes and durations in nanoseconds, as there. Clients send ``null`` for "not given", so
:func:`without_nulls` is applied to a body before it is converted.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "BindOptions",
    "ContainerConfig",
    "CreateRequest",
    "DeviceMapping",
    "HealthConfig",
    "HostConfig",
    "LogConfig",
    "MountPoint",
    "MountSpec",
    "Resources",
    "RestartPolicy",
    "TmpfsOptions",
    "Ulimit",
    "UpdateRequest",
    "VolumeOptions",
    "without_nulls",
]


class _Body(msgspec.Struct, rename="pascal", kw_only=True):
    """A JSON object whose members are written as Go writes them."""


class HealthConfig(_Body, omit_defaults=True):
    """How to find out whether the program in a container does its work; times in nanoseconds."""

    test: list[str] = []
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class ContainerConfig(_Body):
    """What the program is: the portable half of a container's configuration."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] = {}
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] = []
    cmd: list[str] | None = None
    healthcheck: HealthConfig | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, Any] = {}
    working_dir: str = ""
    entrypoint: list[str] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] = {}
    stop_signal: str = ""
    stop_timeout: int | None = None  # seconds; -1 waits for ever
    shell: list[str] | None = None


class RestartPolicy(_Body):
    """Whether a container that ended is started again."""

    name: str = "no"
    maximum_retry_count: int = 0


class LogConfig(_Body):
    """Where the output is kept; only ``json-file`` exists here."""

    type: str = "json-file"
    config: dict[str, str] = {}


class Ulimit(_Body):
    """One resource limit, such as ``nofile``; see getrlimit(2)."""

    name: str
    soft: int
    hard: int


class DeviceMapping(_Body):
    """A device of the host that appears in the container."""

    path_on_host: str
    path_in_container: str = ""
    cgroup_permissions: str = "rwm"


class WeightDevice(_Body):
    """The block I/O weight of one device, 10 to 1000."""

    path: str
    weight: int


class ThrottleDevice(_Body):
    """The block I/O rate of one device, in bytes or operations a second."""

    path: str
    rate: int


class BindOptions(_Body, omit_defaults=True):
    """How a folder of the host is mounted."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeOptions(_Body, omit_defaults=True):
    """How a named volume is made and mounted."""

    no_copy: bool = False
    labels: dict[str, str] = {}
    driver_config: dict[str, Any] = {}
    subpath: str = ""


class TmpfsOptions(_Body, omit_defaults=True):
    """The size (bytes) and mode of a file system in memory."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] = []


class MountSpec(_Body, omit_defaults=True):
    """One ``--mount``."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class Resources(_Body):
    """The limits of a container; 0 means that none was asked for."""

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] = []
    blkio_device_read_bps: list[ThrottleDevice] = []
    blkio_device_write_bps: list[ThrottleDevice] = []
    blkio_device_read_iops: list[ThrottleDevice] = msgspec.field(
        default_factory=list, name="BlkioDeviceReadIOps"
    )
    blkio_device_write_iops: list[ThrottleDevice] = msgspec.field(
        default_factory=list, name="BlkioDeviceWriteIOps"
    )
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] = []
    device_cgroup_rules: list[str] = []
    device_requests: list[dict[str, Any]] = []
    memory_reservation: int = 0
    memory_swap: int = 0  # memory and swap together; -1 is unlimited swap
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] = []


class HostConfig(Resources):
    """How the container sits on this machine: the other half of its configuration."""

    binds: list[str] = []
    container_id_file: str = msgspec.field(default="", name="ContainerIDFile")
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    network_mode: str = "default"
    port_bindings: dict[str, list[dict[str, str]]] = {}
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] = []
    console_size: tuple[int, int] = (0, 0)
    annotations: dict[str, str] = {}
    cap_add: list[str] = []
    cap_drop: list[str] = []
    cgroupns_mode: str = ""
    dns: list[str] = []
    dns_options: list[str] = []
    dns_search: list[str] = []
    extra_hosts: list[str] = []
    group_add: list[str] = []
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] = []
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] = []
    storage_opt: dict[str, str] = {}
    tmpfs: dict[str, str] = {}
    uts_mode: str = msgspec.field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] = {}
    runtime: str = ""
    isolation: str = ""
    mounts: list[MountSpec] = []
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None


class CreateRequest(ContainerConfig):
    """The body of ``POST /containers/create``."""

    host_config: HostConfig = msgspec.field(default_factory=HostConfig)
    networking_config: dict[str, Any] = {}


class UpdateRequest(Resources):
    """The body of ``POST /containers/{id}/update``."""

    restart_policy: RestartPolicy | None = None


class MountPoint(_Body):
    """One mount as ``inspect`` shows it."""

    type: str
    source: str
    destination: str
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = msgspec.field(default=True, name="RW")
    propagation: str = ""


def without_nulls(value: Any) -> Any:
    """Return a decoded JSON value without the members that are ``null``.

    Go reads ``null`` as the zero value of any type, and both the ``docker`` command and docker-py
    send it for whatever was not given.
    """
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
