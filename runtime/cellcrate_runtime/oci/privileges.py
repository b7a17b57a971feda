"""What a program may do: its user, capabilities, and system calls; given up step by step."""

from __future__ import annotations

import errno
import os

import msgspec

from cellcrate_runtime.linux import capabilities, credentials, processes, safe_paths, seccomp
from cellcrate_runtime.linux.capabilities import CapabilitySets
from cellcrate_runtime.oci.channel import ProcessEnd
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Capabilities, Linux, Process

__all__ = ["Privileges", "Tuning", "drop", "load_filter", "load_late_filter", "prepare"]


class Tuning(msgspec.Struct, frozen=True):
    """What few configurations ask for; see :mod:`cellcrate_runtime.oci.tuning`."""

    apparmor_profile: str = ""
    selinux_label: str = ""
    personality: str = ""
    memory_mode: str = ""
    memory_flags: list[str] = []
    memory_nodes: list[int] = []


class Privileges(msgspec.Struct, frozen=True):
    """A process's rights, worked out before the fork.

    Attributes:
        groups: Its supplementary groups; None for those of its maker.
    """

    uid: int
    gid: int
    groups: list[int] | None
    capabilities: CapabilitySets
    no_new_privileges: bool
    filter: bytes | None = None
    filter_flags: int = 0
    tuning: Tuning | None = None

    @property
    def has_listener(self) -> bool:
        """Whether a program outside is to be asked about system calls."""
        return self.filter is not None and seccomp.notifies(self.filter_flags)


def prepare(process: Process, linux: Linux, *, keep_groups: bool = False) -> Privileges:
    """Work out what ``process`` may do.

    Args:
        keep_groups: Whether it keeps the supplementary groups of its maker.

    Raises:
        OCIError: The seccomp profile cannot be compiled.
    """
    program, flags = None, 0
    profile = linux.seccomp
    if profile is not None:
        _check_listener(profile)
        try:
            program, flags = seccomp.compile(profile), seccomp.flags(profile)
        except seccomp.SeccompError as error:
            raise OCIError(f"linux.seccomp: {error}", "invalid") from error
    return Privileges(
        uid=process.user.uid,
        gid=process.user.gid,
        groups=None if keep_groups else process.user.additional_gids,
        capabilities=_sets(process.capabilities or Capabilities()),
        no_new_privileges=process.no_new_privileges,
        filter=program,
        filter_flags=flags,
        tuning=_tuning(process, linux),
    )


def _tuning(process: Process, linux: Linux) -> Tuning | None:
    labels = process.apparmor_profile or process.selinux_label
    if not (labels or linux.personality or linux.memory_policy):
        return None
    from cellcrate_runtime.oci import tuning

    return tuning.of(process, linux)


def _check_listener(profile: seccomp.Seccomp) -> None:
    if profile.listener_metadata and not profile.listener_path:
        raise OCIError("linux.seccomp.listenerMetadata: needs a listenerPath", "invalid")
    notifies = any(rule.action == "SCMP_ACT_NOTIFY" for rule in profile.syscalls)
    if notifies and not profile.listener_path.startswith("/"):
        raise OCIError(
            "linux.seccomp.listenerPath: SCMP_ACT_NOTIFY needs the absolute path of a socket",
            "invalid",
        )


def _sets(names: Capabilities) -> CapabilitySets:
    return CapabilitySets(
        bounding=_mask(names.bounding),
        permitted=_mask(names.permitted),
        effective=_mask(names.effective),
        inheritable=_mask(names.inheritable),
        ambient=_mask(names.ambient),
    )


def _mask(names: list[str]) -> int:
    """The bits of capabilities; what is none is left out, as the specification says."""
    return capabilities.mask(name for name in names if name in capabilities.NAMES)


def drop(privileges: Privileges, cwd: str, channel: ProcessEnd) -> None:
    """Become the program's user, with its capabilities, in its working directory.

    The order is what makes it possible: each step needs a right that a later one takes away.
    """
    if privileges.tuning is not None:
        from cellcrate_runtime.oci import tuning

        tuning.apply(privileges.tuning)
    _set_groups(privileges.groups)
    # While no filter is loaded: the container's may know nothing of openat2(2).
    _enter_working_directory(cwd, privileges)
    if privileges.has_listener and not privileges.no_new_privileges:
        _load_with_listener(privileges, channel)
    elif not privileges.no_new_privileges:
        # Without no_new_privs only CAP_SYS_ADMIN may load a filter, and it goes next.
        load_filter(privileges)
    capabilities.drop_bounding(privileges.capabilities.bounding)
    capabilities.keep_across_user_change(True)
    _become(privileges.uid, privileges.gid)
    capabilities.keep_across_user_change(False)
    _take_available(privileges.capabilities)
    if privileges.no_new_privileges:
        processes.forbid_new_privileges()
        if privileges.has_listener:
            _load_with_listener(privileges, channel)


def load_filter(privileges: Privileges) -> None:
    """Load the seccomp filter, if there is one that nobody outside has to answer for."""
    if privileges.filter is not None and not privileges.has_listener:
        seccomp.load(privileges.filter, privileges.filter_flags)


def load_late_filter(privileges: Privileges) -> None:
    """Load the filter that :func:`drop` has left for the last moment, if it has."""
    if privileges.no_new_privileges:
        load_filter(privileges)


def _load_with_listener(privileges: Privileges, channel: ProcessEnd) -> None:
    """Load the filter and hand its descriptor over, while the maker is still waiting for it."""
    say = channel.ready_to_say_listener()
    listener = seccomp.load(privileges.filter or b"", privileges.filter_flags)
    if listener is not None:
        say(listener)
        os.close(listener)


def _enter_working_directory(cwd: str, privileges: Privileges) -> None:
    """Go there with root's rights, or else with those of the user, whose folder it may be.

    Root of a user namespace has no rights over what belongs to ids that are not mapped in it.
    """
    if _enter(cwd):
        return
    with credentials.file_access_of(privileges.uid, privileges.gid):
        entered = _enter(cwd)
    if not entered:
        raise OCIError(f"the working directory {cwd!r} is closed to the user", "permission")


def _enter(cwd: str) -> bool:
    """Go to the working directory; False if these rights do not allow it.

    ``/proc/<pid>/fd`` and its like are refused on the way: they could lead to a folder of the host
    that is still open here (CVE-2024-21626).
    """
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folder = safe_paths.open_inside(root, cwd, os.O_PATH | os.O_DIRECTORY)
        try:
            os.fchdir(folder)
        finally:
            os.close(folder)
    except PermissionError:
        return False
    except OSError as error:
        raise OCIError.from_os_error(error, "cannot chdir to the working directory") from error
    finally:
        os.close(root)
    return True


def _set_groups(groups: list[int] | None) -> None:
    if groups is None:
        return
    try:
        credentials.set_groups(groups)
    except PermissionError:
        # Denied where a user is mapped alone (user_namespaces(7)); there are no groups to give up.
        if any(groups):
            raise OCIError(
                f"the groups {groups} cannot be set: this user namespace has one group only. Give "
                "the user subordinate ids: usermod --add-subuids 100000-165535 "
                "--add-subgids 100000-165535 USER",
                "permission",
            ) from None


def _become(uid: int, gid: int) -> None:
    try:
        credentials.become(uid, gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise OCIError(
            f"the user {uid}:{gid} does not exist in this container's user namespace: its ids are "
            "those of /proc/self/uid_map and gid_map. More of them come from /etc/subuid",
            "invalid",
        ) from None


def _take_available(wanted: CapabilitySets) -> None:
    """Set the capability sets, leaving out what the caller itself does not have."""
    available = capabilities.permitted()
    capabilities.apply(
        CapabilitySets(
            permitted=wanted.permitted & available,
            effective=wanted.effective & wanted.permitted & available,
            inheritable=wanted.inheritable & available,
            ambient=wanted.ambient & wanted.permitted & wanted.inheritable & available,
        )
    )
