"""The document that describes a container: ``config.json`` of an OCI bundle.

Source: OCI runtime-spec 1.3, config.md and config-linux.md. Member names are the specification's,
written in snake case; :func:`decode` and :func:`encode` translate.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from cellcrate_runtime.linux.cgroups.resources import Resources
from cellcrate_runtime.linux.seccomp.profile import Seccomp

__all__ = [
    "CPUAffinity",
    "Capabilities",
    "ConsoleSize",
    "Device",
    "Hook",
    "Hooks",
    "IDMapping",
    "IOPriority",
    "InvalidSpecError",
    "Linux",
    "MemoryPolicy",
    "Mount",
    "Namespace",
    "NetDevice",
    "Personality",
    "Process",
    "RLimit",
    "Root",
    "Scheduler",
    "Spec",
    "TimeOffset",
    "User",
    "decode",
    "encode",
]


class InvalidSpecError(ValueError):
    """A ``config.json`` that is not JSON, or not what the specification allows."""


class _Document(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A JSON object with camelCase member names."""


class ConsoleSize(_Document):
    """The size of a terminal, in characters."""

    height: int
    width: int


class User(_Document):
    """Who the program runs as, inside the container."""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: list[int] = []


class Capabilities(_Document):
    """The five capability sets, as names such as ``CAP_CHOWN``; see capabilities(7)."""

    effective: list[str] = []
    bounding: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class RLimit(_Document):
    """One resource limit, such as ``RLIMIT_NOFILE``; see getrlimit(2)."""

    type: str
    soft: int
    hard: int


class IOPriority(_Document):
    """The I/O scheduling class and priority; see ioprio_set(2)."""

    class_: str = msgspec.field(name="class")
    priority: int = 0


class Scheduler(_Document):
    """The scheduling policy, such as ``SCHED_BATCH``; times in nanoseconds, see sched(7)."""

    policy: str
    nice: int = 0
    priority: int = 0
    flags: list[str] = []
    runtime: int | None = None
    deadline: int | None = None
    period: int = 0


class CPUAffinity(_Document):
    """CPUs, such as ``0-3,7``, before and after a process joins the container's cgroup."""

    initial: str = ""
    final: str = ""


class Process(_Document):
    """The program to run, and the rights it runs with."""

    cwd: str
    args: list[str] = []
    env: list[str] = []
    user: User = msgspec.field(default_factory=User)
    terminal: bool = False
    console_size: ConsoleSize | None = None
    capabilities: Capabilities | None = None
    rlimits: list[RLimit] = []
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    selinux_label: str = ""
    oom_score_adj: int | None = None
    io_priority: IOPriority | None = None
    scheduler: Scheduler | None = None
    exec_cpu_affinity: CPUAffinity | None = msgspec.field(default=None, name="execCPUAffinity")


class Root(_Document):
    """The container's root file system; a relative path starts at the bundle."""

    path: str
    readonly: bool = False


class IDMapping(_Document):
    """A range of user or group ids, inside (container) and outside (host)."""

    container_id: int = msgspec.field(name="containerID")
    host_id: int = msgspec.field(name="hostID")
    size: int


class Mount(_Document):
    """A file system, or a folder or file of the host, that appears in the container."""

    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []


class Namespace(_Document):
    """A namespace to make, or with ``path`` to join; see namespaces(7)."""

    type: Literal["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"]
    path: str = ""


class TimeOffset(_Document):
    """How far a clock of a time namespace is moved; see time_namespaces(7)."""

    secs: int = 0
    nanosecs: int = 0


class Device(_Document):
    """A device node to appear in the container."""

    path: str
    type: str
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class Personality(_Document):
    """The machine that programs see themselves on, ``LINUX`` or ``LINUX32``; personality(2)."""

    domain: str
    flags: list[str] = []


class MemoryPolicy(_Document):
    """Which memory nodes memory is taken from; see set_mempolicy(2)."""

    mode: str = ""
    nodes: str = ""
    flags: list[str] = []


class NetDevice(_Document):
    """A network device of the host that moves into the container, under ``name`` if given."""

    name: str = ""


class Linux(_Document):
    """What is particular to Linux."""

    namespaces: list[Namespace] = []
    uid_mappings: list[IDMapping] = []
    gid_mappings: list[IDMapping] = []
    time_offsets: dict[str, TimeOffset] = {}
    devices: list[Device] = []
    cgroups_path: str = ""
    resources: Resources | None = None
    rootfs_propagation: str = ""
    seccomp: Seccomp | None = None
    sysctl: dict[str, str] = {}
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""
    personality: Personality | None = None
    memory_policy: MemoryPolicy | None = None
    net_devices: dict[str, NetDevice] = {}
    intel_rdt: dict[str, object] | None = None


class Hook(_Document):
    """A program to run; ``timeout`` is in seconds.

    Without ``env`` it has the environment of the runtime, and with an empty one none.
    """

    path: str
    args: list[str] = []
    env: list[str] | None = None
    timeout: int | None = None


class Hooks(_Document):
    """Programs to run at certain moments of the container's life; see :mod:`.hooks`."""

    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class Spec(_Document):
    """A whole ``config.json``."""

    oci_version: str
    root: Root | None = None
    process: Process | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: list[Mount] = []
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None


_decoder = msgspec.json.Decoder(Spec)
_encoder = msgspec.json.Encoder()


def decode(document: bytes) -> Spec:
    """Read a ``config.json``; a member that is null is as good as none, as Go's JSON has it.

    Raises:
        InvalidSpecError: The document is not JSON or has a member of the wrong type.
    """
    try:
        try:
            return _decoder.decode(document)
        except msgspec.ValidationError:
            if b"null" not in document:
                raise
            return msgspec.convert(_without_nulls(msgspec.json.decode(document)), Spec)
    except msgspec.DecodeError as error:
        raise InvalidSpecError(f"config.json: {error}") from error


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    return value


def encode(spec: Spec) -> bytes:
    """Write a ``config.json``."""
    return _encoder.encode(spec)
