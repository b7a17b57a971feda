"""``features``: what this runtime can do. Source: OCI runtime-spec 1.2, features.md."""

from __future__ import annotations

import json
from typing import Any

from cellcrate_runtime.linux import capabilities, namespaces
from cellcrate_runtime.linux.seccomp.library import ACTIONS
from cellcrate_runtime.oci import mount_options
from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["features"]

_HOOKS = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
]
_OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
_FLAGS = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]
_ARCHITECTURES = ["X86", "X86_64", "X32", "ARM", "AARCH64", "RISCV64", "S390X", "PPC64LE"]


def features(_settings: Settings, _arguments: Arguments) -> None:
    """Print it as JSON."""
    document = {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": "1.2.0",
        "hooks": _HOOKS,
        "mountOptions": sorted(mount_options.WORDS),
        "linux": _linux(),
    }
    print(json.dumps(document, indent=2))


def _linux() -> dict[str, Any]:
    return {
        "namespaces": sorted(namespaces.FLAGS),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {"v1": True, "v2": True, "systemd": False, "systemdUser": False, "rdma": False},
        "seccomp": {
            "enabled": True,
            "actions": sorted(ACTIONS),
            "operators": [f"SCMP_CMP_{name}" for name in _OPERATORS],
            "archs": [f"SCMP_ARCH_{name}" for name in _ARCHITECTURES],
            "knownFlags": [f"SECCOMP_FILTER_FLAG_{name}" for name in _FLAGS],
            "supportedFlags": [f"SECCOMP_FILTER_FLAG_{name}" for name in _FLAGS],
        },
        "apparmor": {"enabled": False},
        "selinux": {"enabled": False},
        "intelRdt": {"enabled": False},
        "mountExtensions": {"idmap": {"enabled": True}},
    }
