"""A container as ``docker inspect`` and ``docker ps`` show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.oci_config import paths
from cellcrate_runtime.images import ImageError

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["image_name", "inspect_document", "status_text", "summary_document"]

_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, which clients look for
_DEFAULT_SHM_SIZE = 64 * 1024 * 1024


def inspect_document(engine: Engine, container: Container) -> dict[str, Any]:
    """Return what ``GET /containers/{id}/json`` answers."""
    definition = container.definition
    etc = container.folder / "etc"
    return {
        "Id": container.id,
        "Created": timestamps.format_rfc3339(definition.created),
        "Path": definition.path,
        "Args": definition.args,
        "State": _state(engine, container),
        "Image": definition.image,
        "ResolvConfPath": str(etc / "resolv.conf"),
        "HostnamePath": str(etc / "hostname"),
        "HostsPath": str(etc / "hosts"),
        "LogPath": str(container.log_path),
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlayfs",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": sorted(container.shim.execs) or None if container.shim else None,
        "HostConfig": _host_config(container),
        "GraphDriver": {"Name": "overlayfs", "Data": _layers(container)},
        "Mounts": definition.mounts,
        "Config": msgspec.to_builtins(container.config),
        "NetworkSettings": _network_settings(container),
    }


def summary_document(engine: Engine, container: Container) -> dict[str, Any]:
    """Return one line of what ``GET /containers/json`` answers."""
    definition = container.definition
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": image_name(engine, container),
        "ImageID": definition.image,
        "Command": " ".join([definition.path, *map(_quoted, definition.args)]),
        "Created": definition.created // timestamps.SECOND,
        "Ports": _ports(container),
        "Labels": container.labels,
        "State": container.state.status.value,
        "Status": status_text(engine, container),
        "HostConfig": {
            "NetworkMode": container.host_config.network_mode,
            "Annotations": container.host_config.annotations,
        },
        "NetworkSettings": {"Networks": _networks(container)},
        "Mounts": definition.mounts,
    }


def image_name(engine: Engine, container: Container) -> str:
    """Return the name of a container's image as it was given, or its id once that means another."""
    given = container.config.image
    try:
        if engine.images.get(given).id == container.definition.image:
            return given
    except ImageError:
        pass
    return container.definition.image


def status_text(engine: Engine, container: Container) -> str:
    """Return the status as people read it: ``Up 5 minutes (healthy)``."""
    state = container.state
    since_end = _human_duration(timestamps.now() - state.finished_at)
    match state.status:
        case Status.RUNNING | Status.PAUSED:
            text = f"Up {_human_duration(timestamps.now() - state.started_at)}"
            if state.status is Status.PAUSED:
                return f"{text} (Paused)"
            health = engine.health.of(container)
            if health is None:
                return text
            shown = "health: starting" if health.status == "starting" else health.status
            return f"{text} ({shown})"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {since_end} ago"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {since_end} ago"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.CREATED:
            return "Created"


def _state(engine: Engine, container: Container) -> dict[str, Any]:
    state = container.state
    document: dict[str, Any] = {
        "Status": state.status.value,
        "Running": state.running,
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": _moment(state.started_at),
        "FinishedAt": _moment(state.finished_at),
    }
    health = engine.health.of(container)
    if health is not None:
        document["Health"] = health
    return document


def _host_config(container: Container) -> dict[str, Any]:
    host = container.host_config
    document: dict[str, Any] = msgspec.to_builtins(host)
    document["ShmSize"] = host.shm_size or _DEFAULT_SHM_SIZE
    document["IpcMode"] = host.ipc_mode or "private"
    document["CgroupnsMode"] = host.cgroupns_mode or "private"
    unmasked = host.privileged or "systempaths=unconfined" in host.security_opt
    if host.masked_paths is None:
        document["MaskedPaths"] = None if unmasked else paths.MASKED
    if host.readonly_paths is None:
        document["ReadonlyPaths"] = None if unmasked else paths.READ_ONLY
    # What was not given is null in Docker's answers, and clients tell that from an empty list.
    for name in ("Binds", "CapAdd", "CapDrop", "ExtraHosts", "GroupAdd", "SecurityOpt", "Links"):
        document[name] = document[name] or None
    for name in ("Mounts", "Tmpfs", "Sysctls", "StorageOpt", "Annotations"):
        if not document[name]:
            del document[name]
    return document


def _layers(container: Container) -> dict[str, str]:
    folder = container.folder
    return {
        "MergedDir": str(folder / "rootfs"),
        "UpperDir": str(folder / "upper"),
        "WorkDir": str(folder / "work"),
    }


def _network_settings(container: Container) -> dict[str, Any]:
    alive = container.state.alive
    sandbox = f"/proc/{container.state.pid}/ns/net" if alive else ""
    ports = dict.fromkeys(container.config.exposed_ports) if alive else {}
    return {
        "Bridge": "",
        "SandboxID": container.id if alive else "",
        "SandboxKey": sandbox,
        "Ports": ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": _networks(container),
    }


def _networks(container: Container) -> dict[str, Any]:
    """Return the network of a container. None has an address yet: each has loopback alone."""
    mode = container.host_config.network_mode
    if mode.startswith("container:"):
        return {}
    name = "bridge" if mode in ("", "default") else mode
    return {
        name: {
            "IPAMConfig": None,
            "Links": None,
            "Aliases": None,
            "MacAddress": "",
            "DriverOpts": None,
            "NetworkID": "",
            "EndpointID": "",
            "Gateway": "",
            "IPAddress": "",
            "IPPrefixLen": 0,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": None,
        }
    }


def _ports(container: Container) -> list[dict[str, Any]]:
    if not container.state.alive:
        return []
    found = []
    for port in container.config.exposed_ports:
        number, _, protocol = port.partition("/")
        if number.isdecimal():
            found.append({"PrivatePort": int(number), "Type": protocol or "tcp"})
    return found


def _moment(moment: int) -> str:
    return timestamps.format_rfc3339(moment) if moment else _NEVER


def _quoted(argument: str) -> str:
    return f"'{argument}'" if " " in argument else argument


# From how many of the smaller unit on Docker counts in the next: go-units, HumanDuration.
_UNITS = (
    (60, 1, "seconds"),
    (60 * 60, 60, "minutes"),
    (48 * 3600, 3600, "hours"),
    (14 * 86400, 86400, "days"),
    (2 * 30 * 86400, 7 * 86400, "weeks"),
    (2 * 365 * 86400, 30 * 86400, "months"),
)


def _human_duration(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds // timestamps.SECOND)
    if seconds < 1:
        return "Less than a second"
    for limit, unit, name in _UNITS:
        if seconds < limit:
            count = seconds // unit
            if count == 1:
                return {"seconds": "1 second", "minutes": "About a minute"}.get(
                    name, "About an hour"
                )
            return f"{count} {name}"
    return f"{seconds // (365 * 86400)} years"
