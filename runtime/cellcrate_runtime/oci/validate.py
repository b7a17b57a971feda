"""Refuse a configuration that cannot be, before anything is created.

Source: OCI runtime-spec 1.2, config.md and config-linux.md. Each message starts with the member.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable
from typing import NoReturn

from cellcrate_runtime.linux import capabilities
from cellcrate_runtime.oci import mount_options, sysctls
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.limits import RLIMITS
from cellcrate_runtime.oci.spec import (
    Capabilities,
    Device,
    Hook,
    Hooks,
    IDMapping,
    Linux,
    Mount,
    Namespace,
    Process,
    Spec,
)

__all__ = ["validate", "validate_process"]

_DEVICE_TYPES = frozenset("cbup")
_CLOCKS = frozenset({"monotonic", "boottime"})
_IO_CLASSES = frozenset({"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"})
_LONGEST_NAME = 64  # uname(2)
_HIGHEST_ID = (1 << 32) - 2  # the one above means "no id"
_MOST_MAPPINGS = 340  # user_namespaces(7)
_BIGGEST_SIZE = (1 << 16) - 1  # struct winsize


def _refuse(member: str, why: str) -> NoReturn:
    raise OCIError(f"{member}: {why}", "invalid")


def validate(spec: Spec) -> None:
    """Check a whole configuration against the specification.

    Raises:
        OCIError: of kind ``invalid``; the message names the member and says what it must be.
    """
    if not spec.oci_version.startswith("1."):
        _refuse("ociVersion", f"{spec.oci_version!r} is not a version 1 of the specification")
    if spec.process is None:
        _refuse("process", "there is no program to run")
    validate_process(spec.process)
    linux = spec.linux or Linux()
    _check_namespaces(linux.namespaces)
    new: set[str] = {namespace.type for namespace in linux.namespaces if not namespace.path}
    types: set[str] = {namespace.type for namespace in linux.namespaces}
    _check_identity(linux, types, new)
    _check_names(spec, types)
    for index, mount in enumerate(spec.mounts):
        _check_mount(f"mounts[{index}]", mount, "user" in types)
    _check_linux(linux, new, types)
    if spec.hooks is not None:
        _check_hooks(spec.hooks)


def validate_process(process: Process) -> None:
    """Check a program and its rights.

    Raises:
        OCIError: of kind ``invalid``.
    """
    if not process.args or not process.args[0]:
        _refuse("process.args", "there is no program to run")
    _check_text("process.args", process.args)
    _check_environment("process.env", process.env)
    if not process.cwd.startswith("/"):
        _refuse("process.cwd", f"{process.cwd!r} is not an absolute path")
    _check_text("process.cwd", [process.cwd])
    _check_user(process)
    _check_rlimits(process)
    if process.capabilities is not None:
        _check_capabilities(process.capabilities)
    _check_settings(process)


def _check_text(member: str, texts: Iterable[str]) -> None:
    for text in texts:
        if "\0" in text:
            _refuse(member, f"{text!r} has a zero byte in it")


def _check_environment(member: str, lines: list[str]) -> None:
    _check_text(member, lines)
    for line in lines:
        if line.find("=") < 1:
            _refuse(member, f"{line!r} is not of the form NAME=value")


def _check_user(process: Process) -> None:
    user = process.user
    for member, id_ in (
        ("uid", user.uid),
        ("gid", user.gid),
        *(("additionalGids", gid) for gid in user.additional_gids),
    ):
        if not 0 <= id_ <= _HIGHEST_ID:
            _refuse(f"process.user.{member}", f"{id_} is not an id (0 to {_HIGHEST_ID})")
    if user.umask is not None and not 0 <= user.umask <= 0o777:
        _refuse("process.user.umask", f"{user.umask} is not between 0 and 511 (octal 777)")


def _check_rlimits(process: Process) -> None:
    seen = set()
    for limit in process.rlimits:
        if limit.type not in RLIMITS:
            known = ", ".join(sorted(RLIMITS))
            _refuse("process.rlimits", f"{limit.type!r} is none of {known}")
        if limit.type in seen:
            _refuse("process.rlimits", f"{limit.type} is given twice")
        seen.add(limit.type)
        unlimited = limit.hard == -1
        if not unlimited and (limit.soft == -1 or limit.soft > limit.hard):
            _refuse("process.rlimits", f"the soft {limit.type} is above the hard one")
        if min(limit.soft, limit.hard) < -1 or max(limit.soft, limit.hard) >= 1 << 64:
            _refuse("process.rlimits", f"{limit.type} has a limit that cannot be")


def _check_capabilities(sets: Capabilities) -> None:
    for name in ("effective", "bounding", "inheritable", "permitted", "ambient"):
        member = f"process.capabilities.{name}"
        for capability in getattr(sets, name):
            if capability not in capabilities.NAMES:
                _refuse(member, f"{capability!r} is no capability; see capabilities(7)")
    for outer, inner in (("permitted", "effective"), ("permitted", "ambient")):
        beyond = set(getattr(sets, inner)) - set(getattr(sets, outer))
        if beyond:
            _refuse(
                f"process.capabilities.{inner}",
                f"{', '.join(sorted(beyond))} is not among the {outer} ones",
            )


def _check_settings(process: Process) -> None:
    for member, label in (
        ("apparmorProfile", process.apparmor_profile),
        ("selinuxLabel", process.selinux_label),
    ):
        if label:
            _refuse(f"process.{member}", "is not supported; leave it out")
    score = process.oom_score_adj
    if score is not None and not -1000 <= score <= 1000:
        _refuse("process.oomScoreAdj", f"{score} is not between -1000 and 1000")
    if (priority := process.io_priority) is not None:
        if priority.class_ not in _IO_CLASSES:
            _refuse("process.ioPriority.class", f"{priority.class_!r} is no class of ioprio_set(2)")
        if not 0 <= priority.priority <= 7:
            _refuse("process.ioPriority.priority", f"{priority.priority} is not between 0 and 7")
    if (size := process.console_size) is not None:
        for value in (size.height, size.width):
            if not 0 <= value <= _BIGGEST_SIZE:
                _refuse("process.consoleSize", f"{value} is not between 0 and {_BIGGEST_SIZE}")


def _check_namespaces(namespaces: list[Namespace]) -> None:
    seen = set()
    for namespace in namespaces:
        if namespace.type in seen:
            _refuse("linux.namespaces", f"{namespace.type} is given twice")
        seen.add(namespace.type)
        if namespace.path and not namespace.path.startswith("/"):
            _refuse("linux.namespaces", f"{namespace.path!r} is not an absolute path")
        if namespace.type == "mount" and namespace.path:
            _refuse("linux.namespaces", "joining a mount namespace is not supported")
    if "mount" not in seen:
        _refuse("linux.namespaces", "there must be a mount namespace")


def _check_identity(linux: Linux, types: set[str], new: set[str]) -> None:
    if "user" in new and not (linux.uid_mappings and linux.gid_mappings):
        _refuse("linux.uidMappings", "a new user namespace needs uidMappings and gidMappings")
    if "user" not in types and (linux.uid_mappings or linux.gid_mappings):
        _refuse("linux.uidMappings", "are for a user namespace, and there is none")
    _check_mappings("linux.uidMappings", linux.uid_mappings)
    _check_mappings("linux.gidMappings", linux.gid_mappings)


def _check_mappings(member: str, mappings: list[IDMapping]) -> None:
    if len(mappings) > _MOST_MAPPINGS:
        _refuse(member, f"the kernel takes {_MOST_MAPPINGS} of them at most")
    for mapping in mappings:
        first = min(mapping.container_id, mapping.host_id)
        last = max(mapping.container_id, mapping.host_id) + mapping.size - 1
        if mapping.size < 1 or first < 0 or last > _HIGHEST_ID:
            _refuse(member, f"{mapping.size} ids from {first} on are not a range of ids")
    for side in ("container_id", "host_id"):
        ordered = sorted(mappings, key=lambda m: int(getattr(m, side)))
        for one, other in itertools.pairwise(ordered):
            if getattr(one, side) + one.size > getattr(other, side):
                _refuse(member, "ranges overlap")


def _check_names(spec: Spec, types: set[str]) -> None:
    for member, name in (("hostname", spec.hostname), ("domainname", spec.domainname)):
        if name and "uts" not in types:
            _refuse(member, "needs a UTS namespace of the container's own")
        if len(name.encode()) > _LONGEST_NAME:
            _refuse(member, f"is longer than {_LONGEST_NAME} bytes")


def _check_mount(member: str, mount: Mount, has_identity: bool) -> None:
    if not mount.destination.startswith("/"):
        _refuse(f"{member}.destination", f"{mount.destination!r} is not an absolute path")
    if posixpath.normpath("/" + mount.destination.lstrip("/")) == "/":
        _refuse(f"{member}.destination", "the root itself cannot be mounted over")
    _check_text(member, [mount.destination, mount.source, *mount.options])
    options = mount_options.parse(mount.options)
    bind = options.bind or mount.type == "bind"
    if bind and not mount.source.startswith("/"):
        _refuse(f"{member}.source", "a bind mount needs an absolute path to mount")
    if bind and options.data:
        _refuse(f"{member}.options", f"a bind mount takes no {options.data[0]!r}")
    if not bind and not mount.type:
        _refuse(f"{member}.type", "is missing")
    own = bool(mount.uid_mappings or mount.gid_mappings)
    if own and not (mount.uid_mappings and mount.gid_mappings):
        _refuse(f"{member}.uidMappings", "and gidMappings must be given together")
    if options.idmap and not bind:
        _refuse(f"{member}.options", "idmap is for bind mounts")
    if options.idmap and not own and not has_identity:
        _refuse(f"{member}.options", "idmap needs mappings, of the mount or of the container")
    _check_mappings(f"{member}.uidMappings", mount.uid_mappings)
    _check_mappings(f"{member}.gidMappings", mount.gid_mappings)


def _check_linux(linux: Linux, new: set[str], types: set[str]) -> None:
    if linux.rootfs_propagation and linux.rootfs_propagation not in mount_options.PROPAGATION:
        _refuse("linux.rootfsPropagation", f"{linux.rootfs_propagation!r} is no propagation")
    for clock in linux.time_offsets:
        if clock not in _CLOCKS:
            _refuse("linux.timeOffsets", f"{clock!r} is neither monotonic nor boottime")
    if linux.time_offsets and "time" not in new:
        _refuse("linux.timeOffsets", "needs a new time namespace")
    if linux.mount_label:
        _refuse("linux.mountLabel", "is not supported; leave it out")
    for name in linux.sysctl:
        _check_sysctl(name, types)
    for device in linux.devices:
        _check_device(device)
    for member, paths in (
        ("linux.maskedPaths", linux.masked_paths),
        ("linux.readonlyPaths", linux.readonly_paths),
    ):
        _check_text(member, paths)
        for path in paths:
            if not path.startswith("/"):
                _refuse(member, f"{path!r} is not an absolute path")


def _check_sysctl(name: str, types: set[str]) -> None:
    namespace = sysctls.namespace_of(name)
    if namespace is None:
        _refuse("linux.sysctl", f"{name!r} is the whole machine's; set it on the host: sysctl(8)")
    if namespace not in types:
        _refuse("linux.sysctl", f"{name!r} needs the container's own {namespace} namespace")
    if ".." in sysctls.path_components(name):
        _refuse("linux.sysctl", f"{name!r} is no name of a parameter")


def _check_hooks(hooks: Hooks) -> None:
    for kind, wanted in (
        ("prestart", hooks.prestart),
        ("createRuntime", hooks.create_runtime),
        ("createContainer", hooks.create_container),
        ("startContainer", hooks.start_container),
        ("poststart", hooks.poststart),
        ("poststop", hooks.poststop),
    ):
        for index, hook in enumerate(wanted):
            _check_hook(f"hooks.{kind}[{index}]", hook)


def _check_hook(member: str, hook: Hook) -> None:
    if not hook.path.startswith("/"):
        _refuse(f"{member}.path", f"{hook.path!r} is not an absolute path")
    if hook.timeout is not None and hook.timeout < 1:
        _refuse(f"{member}.timeout", f"{hook.timeout} is not a number of seconds above 0")
    _check_text(member, [hook.path, *hook.args])
    _check_environment(f"{member}.env", hook.env)


def _check_device(device: Device) -> None:
    if not device.path.startswith("/") or posixpath.basename(device.path) in ("", ".", ".."):
        _refuse("linux.devices", f"{device.path!r} is not an absolute path")
    if device.type not in _DEVICE_TYPES:
        _refuse("linux.devices", f"{device.type!r} is none of c, b, u and p")
    if device.file_mode is not None and not 0 <= device.file_mode <= 0o7777:
        _refuse("linux.devices", f"the mode of {device.path} is not between 0 and 4095")
