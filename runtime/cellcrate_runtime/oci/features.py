"""What this runtime knows, whatever the machine can do: the Features structure.

Everything here is taken from the tables that the code itself uses, so that it cannot say more or
less than is true. Source: OCI runtime-spec 1.3, features.md and features-linux.md.
"""

from __future__ import annotations

import msgspec

from cellcrate_runtime.linux import capabilities, namespaces, scheduling
from cellcrate_runtime.linux.cgroups.controllers import V1, V2
from cellcrate_runtime.linux.seccomp import compiler, library
from cellcrate_runtime.oci import mount_options
from cellcrate_runtime.oci.spec import Hooks, Linux, Mount, Process

__all__ = ["VERSION_MAX", "VERSION_MIN", "document"]

VERSION_MIN = "1.0.0"
VERSION_MAX = "1.3.0"


def document() -> dict[str, object]:
    """The structure, as what JSON is made of."""
    return {
        "ociVersionMin": VERSION_MIN,
        "ociVersionMax": VERSION_MAX,
        "hooks": list(_members(Hooks)),
        "mountOptions": mount_options.names(),
        "linux": _linux(),
        "annotations": {"org.cellcrate.checkpoint.enabled": "false"},
        "potentiallyUnsafeConfigAnnotations": [],
    }


def _linux() -> dict[str, object]:
    process, linux = _members(Process), _members(Linux)
    return {
        "namespaces": sorted(namespaces.FLAGS),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {
            "v1": bool(V1),
            "v2": bool(V2),
            "systemd": False,
            "systemdUser": False,
            "rdma": "rdma" in V1 and "rdma" in V2,
        },
        "seccomp": _seccomp() if "seccomp" in linux else {"enabled": False},
        "apparmor": {"enabled": "apparmorProfile" in process},
        "selinux": {"enabled": "selinuxLabel" in process},
        "memoryPolicy": {
            "modes": list(scheduling.MEMORY_MODES),
            "flags": list(scheduling.MEMORY_FLAGS),
        },
        "intelRdt": {"enabled": False, "schemata": False, "monitoring": False},
        "mountExtensions": {"idmap": {"enabled": "uidMappings" in _members(Mount)}},
        "netDevices": {"enabled": "netDevices" in linux},
    }


def _seccomp() -> dict[str, object]:
    return {
        "enabled": True,
        "actions": sorted(library.ACTIONS),
        "operators": sorted(library.OPERATORS),
        "archs": sorted(library.ARCHITECTURES),
        "knownFlags": list(compiler.FLAGS),
        "supportedFlags": list(compiler.FLAGS),
    }


def _members(document: type[msgspec.Struct]) -> tuple[str, ...]:
    """The names of the members of a part of the configuration, as JSON has them."""
    return tuple(field.encode_name for field in msgspec.structs.fields(document))
