"""What is mounted in a container besides its root: kernel file systems, /etc files, volumes.

Source of the defaults: moby, daemon/pkg/oci/defaults.go; OCI runtime-spec 1.2, config-linux.md,
"Default Filesystems".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.oci_config.devices import GivenDevice
from cellcrate_runtime.engine.oci_config.modes import Modes
from cellcrate_runtime.engine.oci_config.volumes import Volume
from cellcrate_runtime.oci.spec import Mount

__all__ = ["DEFAULT_SHM_SIZE", "mounts"]

DEFAULT_SHM_SIZE = 64 * 1024 * 1024  # bytes


def mounts(
    host: HostConfig,
    modes: Modes,
    wanted: Iterable[Volume],
    devices: Iterable[GivenDevice],
    etc_files: Mapping[str, str],
    *,
    foreign_network: bool,
    idmap: bool,
    idmap_etc_files: bool,
) -> list[Mount]:
    """Return all mounts, in the order in which they are made.

    Args:
        host: How the container sits on this machine.
        modes: Its namespaces.
        wanted: Its volumes; one of them replaces a default mount at the same place.
        devices: Devices of the host that are mounted rather than made.
        etc_files: Files of the host by their path in the container (hosts, resolv.conf, ...).
        foreign_network: Its network namespace is not its user namespace's own, so that the kernel
            refuses it a sysfs of its own (user_namespaces(7)).
        idmap: Translate owners of the files in volumes that are to be translated.
        idmap_etc_files: The same of those files.
    """
    volumes = [_volume(volume, idmap) for volume in wanted]
    taken = {volume.destination for volume in volumes}
    defaults = _kernel_mounts(host, modes, foreign_network)
    etc_options = ["rbind", "idmap"] if idmap_etc_files else ["rbind"]
    defaults += [
        Mount(destination=target, type="bind", source=source, options=etc_options)
        for target, source in etc_files.items()
    ]
    nodes = [
        Mount(destination=given.node.path, type="bind", source=given.source, options=["bind"])
        for given in devices
    ]
    return [mount for mount in defaults if mount.destination not in taken] + nodes + volumes


def _kernel_mounts(host: HostConfig, modes: Modes, foreign_network: bool) -> list[Mount]:
    access = "rw" if host.privileged else "ro"
    proc = Mount(destination="/proc", type="proc", source="proc", options=_flags())
    dev = Mount(
        destination="/dev",
        type="tmpfs",
        source="tmpfs",
        options=["nosuid", "strictatime", "mode=755", "size=65536k"],
    )
    pts = Mount(
        destination="/dev/pts",
        type="devpts",
        source="devpts",
        options=["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    )
    sysfs = Mount(destination="/sys", type="sysfs", source="sysfs", options=[*_flags(), access])
    if foreign_network:
        options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
        sysfs = Mount(destination="/sys", type="bind", source="/sys", options=options)
    cgroup = Mount(
        destination="/sys/fs/cgroup",
        type="cgroup",
        source="cgroup",
        options=[*_flags(), access],
    )
    return [proc, dev, pts, sysfs, cgroup, *_ipc_mounts(host, modes)]


def _ipc_mounts(host: HostConfig, modes: Modes) -> list[Mount]:
    """Message queues and shared memory, which belong to the IPC namespace."""
    if modes.ipc == "host":
        return [
            Mount(destination=path, type="bind", source=path, options=["rbind"])
            for path in ("/dev/mqueue", "/dev/shm")
            if os.path.isdir(path)
        ]
    queues = Mount(destination="/dev/mqueue", type="mqueue", source="mqueue", options=_flags())
    if host.ipc_mode == "none":
        return [queues]
    size = host.shm_size or DEFAULT_SHM_SIZE
    memory = Mount(
        destination="/dev/shm",
        type="tmpfs",
        source="shm",
        options=[*_flags(), "mode=1777", f"size={size}"],
    )
    return [queues, memory]


def _flags() -> list[str]:
    return ["nosuid", "noexec", "nodev"]


def _volume(volume: Volume, idmap: bool) -> Mount:
    access = ["ro"] if volume.read_only else []
    if volume.kind == "tmpfs":
        return Mount(
            destination=volume.target,
            type="tmpfs",
            source="tmpfs",
            options=[*volume.options, *access],
        )
    bind = "rbind" if volume.recursive else "bind"
    idmapped = ["idmap"] if idmap and volume.translated else []
    return Mount(
        destination=volume.target,
        type="bind",
        source=volume.source,
        options=[bind, volume.propagation, *access, *idmapped],
    )
