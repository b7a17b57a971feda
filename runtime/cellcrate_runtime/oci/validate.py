"""Refuse a configuration that cannot be, before anything is created.

Source: OCI runtime-spec 1.3, config.md and config-linux.md. Each message starts with the member.
"""

from __future__ import annotations

import posixpath
import re

from cellcrate_runtime.linux import labels, scheduling
from cellcrate_runtime.linux.cgroups.machine import parse_list
from cellcrate_runtime.linux.cgroups.resources import DeviceRule
from cellcrate_runtime.oci import mount_options, sysctls
from cellcrate_runtime.oci.refusal import HIGHEST_ID, check_list, check_mappings, check_text, refuse
from cellcrate_runtime.oci.spec import (
    Device,
    Linux,
    MemoryPolicy,
    Namespace,
    NetDevice,
    Spec,
)
from cellcrate_runtime.oci.validate_mounts import check_mount
from cellcrate_runtime.oci.validate_process import process_warnings, validate_process

__all__ = ["process_warnings", "validate", "validate_process", "warnings"]

_DEVICE_TYPES = frozenset("cbup")
_CLOCKS = frozenset({"monotonic", "boottime"})
# Source: semver.org, version 2.0.0; the last number may be anything.
_VERSION = re.compile(r"1\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_INTERFACE = re.compile(r"[^\s/:]{1,15}")
_LONGEST_NAME = 64  # uname(2)
_HIGHEST_MAJOR, _HIGHEST_MINOR = (1 << 12) - 1, (1 << 20) - 1  # linux/kdev_t.h


def validate(spec: Spec) -> None:
    """Check a whole configuration against the specification.

    Raises:
        OCIError: of kind ``invalid``; the message names the member and says what it must be.
    """
    if not _VERSION.fullmatch(spec.oci_version):
        refuse("ociVersion", f"{spec.oci_version!r} is not a version 1 of the specification")
    if spec.root is None:
        refuse("root", "there is no root file system")
    if spec.process is not None:  # without one a container can be made, and not be started
        validate_process(spec.process)
    linux = spec.linux or Linux()
    _check_namespaces(linux.namespaces)
    new: set[str] = {namespace.type for namespace in linux.namespaces if not namespace.path}
    types: set[str] = {namespace.type for namespace in linux.namespaces}
    _check_identity(linux, types, new)
    _check_names(spec, types)
    for index, mount in enumerate(spec.mounts):
        check_mount(f"mounts[{index}]", mount, "user" in types)
    _check_linux(linux, new, types, spec.domainname)
    if "" in spec.annotations:
        refuse("annotations", "one of them has no name")
    if spec.hooks is not None:
        from cellcrate_runtime.oci.validate_hooks import check_hooks

        check_hooks(spec.hooks)


def warnings(spec: Spec) -> list[str]:
    """What is asked for and will not be done, which is not an error."""
    found = [] if spec.process is None else process_warnings(spec.process)
    if spec.linux is not None and spec.linux.mount_label and not labels.has_selinux():
        found.append("linux.mountLabel: SELinux is not active, and nobody would look at labels")
    for index, mount in enumerate(spec.mounts):
        options = mount_options.parse(mount.options)
        if options.data and not options.remount and (options.bind or mount.type == "bind"):
            words = ", ".join(options.data)
            found.append(f"mounts[{index}].options: {words}: not for a bind mount, and left out")
    return found


def _check_namespaces(namespaces: list[Namespace]) -> None:
    seen = set()
    for namespace in namespaces:
        if namespace.type in seen:
            refuse("linux.namespaces", f"{namespace.type} is given twice")
        seen.add(namespace.type)
        if namespace.path and not namespace.path.startswith("/"):
            refuse("linux.namespaces", f"{namespace.path!r} is not an absolute path")


def _check_identity(linux: Linux, types: set[str], new: set[str]) -> None:
    if "user" in new and "mount" not in new:
        refuse("linux.namespaces", "a new user namespace needs a new mount namespace")
    if "user" in new and not (linux.uid_mappings and linux.gid_mappings):
        refuse("linux.uidMappings", "a new user namespace needs uidMappings and gidMappings")
    if "user" not in types and (linux.uid_mappings or linux.gid_mappings):
        refuse("linux.uidMappings", "are for a user namespace, and there is none")
    check_mappings("linux.uidMappings", linux.uid_mappings)
    check_mappings("linux.gidMappings", linux.gid_mappings)


def _check_names(spec: Spec, types: set[str]) -> None:
    for member, name in (("hostname", spec.hostname), ("domainname", spec.domainname)):
        if name and "uts" not in types:
            refuse(member, "needs a UTS namespace of the container's own")
        if len(name.encode()) > _LONGEST_NAME:
            refuse(member, f"is longer than {_LONGEST_NAME} bytes")


def _check_linux(linux: Linux, new: set[str], types: set[str], domainname: str) -> None:
    if linux.rootfs_propagation and linux.rootfs_propagation not in mount_options.PROPAGATION:
        refuse("linux.rootfsPropagation", f"{linux.rootfs_propagation!r} is no propagation")
    for clock, offset in linux.time_offsets.items():
        if not 0 <= offset.nanosecs < 1_000_000_000:
            refuse("linux.timeOffsets", f"{offset.nanosecs} is no part of a second")
        if clock not in _CLOCKS:
            refuse("linux.timeOffsets", f"{clock!r} is neither monotonic nor boottime")
    if linux.time_offsets and "time" not in new:
        refuse("linux.timeOffsets", "needs a new time namespace; one that is joined has its own")
    if linux.mount_label:
        _check_mount_label(linux.mount_label)
    if linux.intel_rdt is not None:
        refuse("linux.intelRdt", "is not supported; leave it out")
    _check_tuning(linux)
    for name, device in linux.net_devices.items():
        _check_net_device(name, device, types)
    if linux.resources is not None:
        for rule in linux.resources.devices:
            _check_device_rule(rule)
    for name, value in linux.sysctl.items():
        _check_sysctl(name, types)
        _check_name_by_sysctl(name, value, domainname)
    for node in linux.devices:
        _check_device(node)
    for member, paths in (
        ("linux.maskedPaths", linux.masked_paths),
        ("linux.readonlyPaths", linux.readonly_paths),
    ):
        check_text(member, paths)
        for path in paths:
            if not path.startswith("/"):
                refuse(member, f"{path!r} is not an absolute path")


def _check_mount_label(label: str) -> None:
    check_text("linux.mountLabel", [label])
    if '"' in label:
        refuse("linux.mountLabel", f"{label!r} has a quotation mark in it")


def _check_sysctl(name: str, types: set[str]) -> None:
    namespace = sysctls.namespace_of(name)
    if namespace is None:
        refuse("linux.sysctl", f"{name!r} is the whole machine's; set it on the host: sysctl(8)")
    if namespace not in types:
        refuse("linux.sysctl", f"{name!r} needs the container's own {namespace} namespace")
    if ".." in sysctls.path_components(name):
        refuse("linux.sysctl", f"{name!r} is no name of a parameter")


def _check_name_by_sysctl(name: str, value: str, domainname: str) -> None:
    """Refuse to give a name in two ways, of which it would not be known which one counts."""
    dotted = name.replace("/", ".")
    if dotted == "kernel.hostname":
        refuse("linux.sysctl", f"{name!r} is not for here; use the member hostname")
    if dotted == "kernel.domainname" and domainname not in ("", value):
        refuse("linux.sysctl", f"{name!r} is not what the member domainname says")


def _check_tuning(linux: Linux) -> None:
    if (personality := linux.personality) is not None:
        if personality.domain not in scheduling.PERSONALITIES:
            refuse(
                "linux.personality.domain", f"{personality.domain!r} is neither LINUX nor LINUX32"
            )
        if personality.flags:
            refuse("linux.personality.flags", f"{personality.flags[0]!r}: there are no flags")
    if linux.memory_policy is not None:
        _check_memory_policy(linux.memory_policy)


def _check_memory_policy(policy: MemoryPolicy) -> None:
    if policy.mode not in scheduling.MEMORY_MODES:
        refuse(
            "linux.memoryPolicy.mode",
            f"invalid memory policy mode {policy.mode!r}: set_mempolicy(2) has them",
        )
    for flag in policy.flags:
        if flag not in scheduling.MEMORY_FLAGS:
            refuse(
                "linux.memoryPolicy.flags",
                f"invalid memory policy flag {flag!r}: set_mempolicy(2) has them",
            )
    check_list("linux.memoryPolicy.nodes: invalid memory policy nodes", policy.nodes)
    if policy.nodes and policy.mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        number = len(parse_list(policy.nodes))
        refuse("linux.memoryPolicy", f"{policy.mode}: mode requires 0 nodes but got {number}")
    if not policy.nodes and policy.mode not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"):
        refuse("linux.memoryPolicy", f"{policy.mode}: mode requires nodes but got none")


def _check_net_device(name: str, device: NetDevice, types: set[str]) -> None:
    if "network" not in types:
        refuse("linux.netDevices", "needs a network namespace of the container's own")
    for each in (name, device.name or name):
        if not _INTERFACE.fullmatch(each) or each in (".", ".."):
            refuse("linux.netDevices", f"{each!r} is no name of a network device")
    if "%" in device.name and ("%d" not in device.name or device.name.count("%") > 1):
        refuse("linux.netDevices", f"{device.name!r} may have one %d in it, and no other %")


def _check_device_rule(rule: DeviceRule) -> None:
    if rule.type not in (None, "", "a", "b", "c"):
        refuse("linux.resources.devices", f"the type {rule.type!r} is none of a, b and c")
    if set(rule.access or "") - set("rwm"):
        refuse("linux.resources.devices", f"the access {rule.access!r} is not made of r, w and m")


def _check_device(device: Device) -> None:
    if not device.path.startswith("/") or posixpath.basename(device.path) in ("", ".", ".."):
        refuse("linux.devices", f"{device.path!r} is not an absolute path")
    if device.type not in _DEVICE_TYPES:
        refuse("linux.devices", f"{device.type!r} is none of c, b, u and p")
    if device.file_mode is not None and not 0 <= device.file_mode <= 0o7777:
        refuse("linux.devices", f"the mode of {device.path} is not between 0 and 4095")
    if not (0 <= device.major <= _HIGHEST_MAJOR and 0 <= device.minor <= _HIGHEST_MINOR):
        refuse("linux.devices", f"{device.path} has a number that no device has")
    for id_ in (device.uid, device.gid):
        if id_ is not None and not 0 <= id_ <= HIGHEST_ID:
            refuse("linux.devices", f"the owner of {device.path} is not an id: {id_}")
