"""What the engine tells about itself and this computer: ``docker version`` and ``docker info``.

Source: Docker Engine API reference, "Get version" and "Get system information". A fact that does
not hold here is false or absent, never made up, and what a user would miss is said as a warning.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import psutil

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.identity import Remapping
from cellcrate_runtime.images import subordinate
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.registry.errors import RegistryError
from cellcrate_runtime.images.registry.settings import RegistrySettings
from cellcrate_runtime.linux.cgroups import Hierarchy, hierarchy
from cellcrate_runtime.version import own_version

__all__ = [
    "cgroups",
    "computer",
    "registries",
    "security_options",
    "storage",
    "version",
    "warnings",
]


def version(api: str, oldest_api: str) -> dict[str, Any]:
    """Return what ``docker version`` shows of its server.

    Args:
        api: The newest version of the API that is served.
        oldest_api: The oldest one.
    """
    facts = {
        "ApiVersion": api,
        "MinAPIVersion": oldest_api,
        "Os": "linux",
        "Arch": machine_architecture(),
        "KernelVersion": platform.release(),
        "GitCommit": "",
        "GoVersion": "",
        "BuildTime": "",
    }
    python = {"Name": "Python", "Version": platform.python_version(), "Details": {}}
    engine = {
        "Name": "Engine",
        "Version": own_version(),
        "Details": {**facts, "Experimental": "false"},
    }
    return {
        "Platform": {"Name": "Cellcrate"},
        "Version": own_version(),
        "Components": [engine, python],
        **facts,
    }


def computer() -> dict[str, Any]:
    """Return what ``docker info`` shows of the computer."""
    return {
        "Name": platform.node(),
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": psutil.virtual_memory().total,
        "KernelVersion": platform.release(),
        "OperatingSystem": _os_release().get("PRETTY_NAME", "Linux"),
        "OSVersion": _os_release().get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "SystemTime": timestamps.format_rfc3339(timestamps.now()),
    }


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def cgroups() -> dict[str, Any]:
    """Return which limits can be set here."""
    found = hierarchy()
    memory = found.has("memory")
    cpu = found.has("cpu")
    return {
        "CgroupDriver": "cgroupfs" if found.writable else "none",
        "CgroupVersion": _version_of(found),
        "MemoryLimit": memory,
        "SwapLimit": memory and _can_limit_swap(found),
        "CpuCfsPeriod": cpu,
        "CpuCfsQuota": cpu,
        "CPUShares": cpu,
        "CPUSet": found.has("cpuset"),
        "PidsLimit": found.has("pids"),
        "OomKillDisable": memory and found.controllers["memory"].version == 1,
    }


def _version_of(found: Hierarchy) -> str:
    """Return the version that limits of memory are set with, as Docker understands it."""
    place = found.controllers.get("memory")
    if place is not None:
        return str(place.version)
    return "1" if found.kind == "v1" else "2"


def _can_limit_swap(found: Hierarchy) -> bool:
    """Tell whether the kernel counts swap; it can be built or started without."""
    place = found.controllers["memory"]
    if place.version == 1:
        return (Path(place.root) / "memory.memsw.limit_in_bytes").exists()
    return "swap" in Path("/proc/meminfo").read_text().lower()


def storage(remapping: Remapping) -> list[tuple[str, str]]:
    """Return what ``docker info`` says below the storage driver.

    Args:
        remapping: How containers' files come to belong to the users of their user namespaces.
    """
    rows: list[tuple[str, str]] = [("Translation of owners", remapping.way)]
    return [*rows, ("Because", remapping.reason)] if remapping.reason else rows


def warnings(facts: dict[str, Any], remapping: Remapping) -> list[str]:
    """Return what a user of this computer has to do without, and how to get it.

    Args:
        facts: What :func:`cgroups` found.
        remapping: How containers get user namespaces of their own.
    """
    said = [
        "WARNING: containers reach nothing but themselves: there is no network yet"
        " (--network host shares this computer's)",
    ]
    limits = {
        "MemoryLimit": "memory (-m)",
        "CpuCfsQuota": "processor time (--cpus)",
        "PidsLimit": "processes (--pids-limit)",
    }
    missing = [name for fact, name in limits.items() if not facts[fact]]
    if missing:
        reason = hierarchy().reason.rstrip(".") or "this kernel has no such control groups"
        said.append(
            f"WARNING: no limits of {', '.join(missing)}: {reason}. "
            "`cellcrate doctor` says how to get them"
        )
    if remapping.way == "none" and os.geteuid() == 0:
        said.append(
            f"WARNING: root in a container is root of this computer: {remapping.reason}. "
            "`cellcrate doctor` says what is missing"
        )
    flat = None if os.geteuid() == 0 else subordinate.why_not()
    if flat is not None:
        said.append(f"WARNING: images lose the owners of their files: {flat}")
    return said


def security_options(remapping: Remapping) -> list[str]:
    """Return what confines every container unless it is told otherwise.

    Args:
        remapping: How containers get user namespaces of their own.
    """
    options = ["name=seccomp,profile=builtin", "name=cgroupns"]
    if remapping.way != "none":
        options.append(f"name=userns,owners={remapping.way}")
    if os.geteuid() != 0:
        options.append("name=rootless")
    return options


def registries(data: Path) -> dict[str, Any]:
    """Return the member ``RegistryConfig`` of ``GET /info``: how registries are reached.

    Args:
        data: The engine's data folder, whose ``daemon.json`` says it.
    """
    try:
        settings = RegistrySettings.read(data / "daemon.json")
    except RegistryError:
        settings = RegistrySettings()  # whoever pulls will hear why
    networks = [name for name in settings.insecure if "/" in name]
    hosts = [name for name in settings.insecure if "/" not in name]
    mirrors = list(settings.mirrors)
    return {
        "InsecureRegistryCIDRs": [*networks, "::1/128", "127.0.0.0/8"],
        "IndexConfigs": {
            "docker.io": {
                "Name": "docker.io",
                "Mirrors": mirrors,
                "Secure": True,
                "Official": True,
            },
            **{
                name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
                for name in hosts
            },
        },
        "Mirrors": mirrors,
    }
