"""From Docker's configuration of a container to the OCI document that describes it.

The parts: ``environment``, ``rlimits``, ``capabilities``, ``security`` and ``seccomp`` (the
program's rights), ``modes`` and ``sysctls`` (its namespaces), ``volumes`` and ``mounts`` (its
files), ``devices``, ``paths``. They refuse what makes no sense with the error that the API answers
with, so building the document once is also the check before a container is created.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.container import Definition
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.engine.limits import resources_of
from cellcrate_runtime.engine.oci_config import devices as device_config
from cellcrate_runtime.engine.oci_config import paths, security
from cellcrate_runtime.engine.oci_config.capabilities import effective
from cellcrate_runtime.engine.oci_config.devices import GivenDevice
from cellcrate_runtime.engine.oci_config.environment import environment
from cellcrate_runtime.engine.oci_config.modes import Modes
from cellcrate_runtime.engine.oci_config.mounts import mounts
from cellcrate_runtime.engine.oci_config.rlimits import lowest_oom_score_adj, rlimits
from cellcrate_runtime.engine.oci_config.seccomp import custom_profile
from cellcrate_runtime.engine.oci_config.sysctls import check_sysctls
from cellcrate_runtime.engine.oci_config.volumes import Volume, volumes
from cellcrate_runtime.linux.cgroups.resources import Resources
from cellcrate_runtime.linux.seccomp.profile import Seccomp
from cellcrate_runtime.oci.spec import (
    Capabilities,
    ConsoleSize,
    IDMapping,
    Linux,
    Namespace,
    Process,
    Root,
    Spec,
)

__all__ = ["Surroundings", "make_spec"]

_OCI_VERSION = "1.2.0"
# What namespaces are called in /proc/PID/ns.
_NAMES_IN_PROC = {"network": "net", "pid": "pid", "ipc": "ipc", "user": "user"}


_Kind = Literal["user", "network", "pid", "ipc", "uts", "cgroup"]
_HOST = "host"  # stands for the path of a namespace that is the engine's own


@dataclass(frozen=True)
class Surroundings:
    """What a container's document depends on besides its own configuration.

    Attributes:
        rootfs: The folder that becomes its root.
        cgroup: Its control group, or the empty string where none can be made.
        id_mappings: Those of its user namespace; empty without one of its own.
        rootless: Whether the engine is an ordinary user's, and so already in a user namespace.
        partner_pid: The first process of the container that it shares namespaces with.
        etc_files: Files of the host by their path in the container.
        volumes: Folders of the container's own, besides those that were asked for.
        can_translate: Whether a mount can translate the owners at a path of the host.
    """

    rootfs: str
    cgroup: str = ""
    id_mappings: list[IDMapping] = field(default_factory=list)
    rootless: bool = False
    partner_pid: int = 0
    etc_files: Mapping[str, str] = field(default_factory=dict)
    volumes: list[Volume] = field(default_factory=list)
    can_translate: Callable[[str], bool] = lambda source: True


def make_spec(definition: Definition, modes: Modes, around: Surroundings) -> Spec:
    """Return the OCI document of a container.

    Raises:
        BadRequestError: Something in the configuration makes no sense here.
        NotServedError: Something in it is not served yet.
    """
    config, host = definition.config, definition.host_config
    options = security.parse(host.security_opt, privileged=host.privileged)
    check_sysctls(host.sysctls, modes)
    # In a user namespace (the container's or the launcher's) every capability can be given.
    in_user_namespace = bool(around.id_mappings) or around.rootless or bool(modes.partner)
    capabilities = effective(
        host.cap_add,
        host.cap_drop,
        privileged=host.privileged,
        own_user_namespace=in_user_namespace,
    )
    given = device_config.devices(host.devices)
    nodes = [*device_config.all_devices(), *given] if host.privileged else given
    foreign_network = modes.network == "host" and in_user_namespace
    return Spec(
        oci_version=_OCI_VERSION,
        root=Root(path=around.rootfs, readonly=host.readonly_rootfs),
        process=_process(definition, capabilities, options.no_new_privileges),
        hostname=config.hostname if modes.uts == "private" else "",
        domainname=config.domainname if modes.uts == "private" else "",
        mounts=mounts(
            host,
            modes,
            [*_volumes(host, around), *around.volumes],
            # Nobody in a user namespace can make device nodes: the host's are mounted.
            nodes if in_user_namespace else [],
            around.etc_files,
            foreign_network=foreign_network,
            idmap=bool(around.id_mappings),
            idmap_etc_files=bool(around.id_mappings) and definition.shift is None,
        ),
        annotations=dict(host.annotations),
        linux=Linux(
            namespaces=_namespaces(modes, around),
            uid_mappings=around.id_mappings,
            gid_mappings=around.id_mappings,
            devices=[] if in_user_namespace else [device.node for device in nodes],
            cgroups_path=around.cgroup,
            resources=_resources(definition, given) if around.cgroup else None,
            seccomp=_seccomp(options.seccomp, capabilities, privileged=host.privileged),
            sysctl=dict(host.sysctls),
            masked_paths=_paths(definition, host.masked_paths, paths.MASKED, options.unmasked),
            readonly_paths=_paths(
                definition, host.readonly_paths, paths.READ_ONLY, options.unmasked
            ),
        ),
    )


def _volumes(host: HostConfig, around: Surroundings) -> list[Volume]:
    """Return the volumes that were asked for, and of each whether it is to be translated."""
    found = volumes(host)
    if not around.id_mappings:
        return found
    return [
        replace(volume, translated=around.can_translate(volume.source))
        if volume.kind == "bind"
        else volume
        for volume in found
    ]


def _process(definition: Definition, capabilities: list[str], no_new_privileges: bool) -> Process:
    config, host = definition.config, definition.host_config
    height, width = host.console_size
    return Process(
        cwd=config.working_dir or "/",
        args=[definition.path, *definition.args],
        env=environment(config.env, hostname=config.hostname, tty=config.tty),
        terminal=config.tty,
        console_size=ConsoleSize(height=height, width=width) if height and width else None,
        capabilities=Capabilities(
            bounding=capabilities, effective=capabilities, permitted=capabilities
        ),
        rlimits=rlimits(host.ulimits),
        no_new_privileges=no_new_privileges,
        oom_score_adj=_oom_score_adj(host.oom_score_adj),
    )


def _oom_score_adj(wanted: int) -> int | None:
    if not -1000 <= wanted <= 1000:
        raise BadRequestError(f"Invalid value {wanted}, range for oom score adj is [-1000, 1000]")
    return max(wanted, lowest_oom_score_adj()) if wanted else None


def _namespaces(modes: Modes, around: Surroundings) -> list[Namespace]:
    """Return the namespaces to make, and those to join; what is missing is the engine's own."""
    found = [Namespace(type="mount")]
    if around.id_mappings:
        # Whoever shares other namespaces shares the user namespace that owns them, see Modes.
        found.append(_namespace("user", modes.partner or "private", around.partner_pid))
    found.append(_namespace("network", modes.network, around.partner_pid))
    found.append(_namespace("pid", modes.pid, around.partner_pid))
    found.append(_namespace("ipc", modes.ipc, around.partner_pid))
    found.append(_namespace("uts", modes.uts, 0))
    found.append(_namespace("cgroup", modes.cgroup, 0))
    return [namespace for namespace in found if namespace.path != _HOST]


def _namespace(kind: _Kind, mode: str, partner_pid: int) -> Namespace:
    if mode == "private":
        return Namespace(type=kind)
    if mode == "host":
        return Namespace(type=kind, path=_HOST)
    return Namespace(type=kind, path=f"/proc/{partner_pid}/ns/{_NAMES_IN_PROC[kind]}")


def _resources(definition: Definition, given: list[GivenDevice]) -> Resources:
    host = definition.host_config
    resources = resources_of(host)
    resources.devices = [
        *device_config.default_rules(privileged=host.privileged),
        *device_config.rules_for(given),
        *device_config.extra_rules(host.device_cgroup_rules),
    ]
    return resources


def _seccomp(wanted: str, capabilities: list[str], *, privileged: bool) -> Seccomp | None:
    if wanted == "unconfined" or (privileged and not wanted):
        return None
    names = frozenset(capabilities)
    if wanted:
        return custom_profile(wanted, names)
    from cellcrate_runtime.linux.seccomp import default_profile

    return default_profile(names)


def _paths(
    definition: Definition, given: list[str] | None, default: list[str], unmasked: bool
) -> list[str]:
    if given is not None:
        return given
    return [] if unmasked or definition.host_config.privileged else default
