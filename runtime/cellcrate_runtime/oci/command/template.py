"""``spec``: write a ``config.json`` to begin with."""

from __future__ import annotations

import os
from typing import Any

from cellcrate_runtime.oci.command.arguments import Arguments
from cellcrate_runtime.oci.command.errors import CommandError
from cellcrate_runtime.oci.command.settings import Settings

__all__ = ["spec"]

_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def spec(_settings: Settings, arguments: Arguments) -> None:
    """Write the file; one that is there already is left alone."""
    import json

    path = os.path.join(arguments.text("bundle", "."), "config.json")
    document = _document(rootless=arguments.has("rootless"))
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(document, file, indent=4)
            file.write("\n")
    except FileExistsError:
        raise CommandError(f"File {path} exists. Remove it first") from None


def _document(*, rootless: bool) -> dict[str, Any]:
    return {
        "ociVersion": "1.3.0",
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "cellcrate",
        "mounts": _mounts(rootless=rootless),
        "linux": _linux(rootless=rootless),
    }


def _mounts(*, rootless: bool) -> list[dict[str, Any]]:
    safe = ["nosuid", "noexec", "nodev"]
    # The group tty is an id that an ordinary user may not have.
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    return [
        _mount("/proc", "proc", []),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", terminals if rootless else [*terminals, "gid=5"]),
        _mount("/dev/shm", "tmpfs", [*safe, "mode=1777", "size=65536k"], "shm"),
        _mount("/dev/mqueue", "mqueue", safe),
        # A fresh one needs a network namespace of one's own, which there is.
        _mount("/sys", "sysfs", [*safe, "ro"]),
        _mount("/sys/fs/cgroup", "cgroup", [*safe, "relatime", "ro"]),
    ]


def _mount(destination: str, type_: str, options: list[str], source: str = "") -> dict[str, Any]:
    return {
        "destination": destination,
        "type": type_,
        "source": source or type_,
        "options": options,
    }


def _linux(*, rootless: bool) -> dict[str, Any]:
    kinds = ["pid", "network", "ipc", "uts", "mount"]
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        # Beside cgroup v1 it hides where a container is from tools that look for it there.
        kinds.append("cgroup")
    linux: dict[str, Any] = {"maskedPaths": _MASKED, "readonlyPaths": _READ_ONLY}
    if rootless:
        kinds.append("user")
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    linux["namespaces"] = [{"type": kind} for kind in kinds]
    return linux
