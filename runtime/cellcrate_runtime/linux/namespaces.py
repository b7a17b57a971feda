"""Namespaces: names, flags, and how to enter and leave them; see namespaces(7)."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterable

from cellcrate_runtime.linux import recording
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = [
    "FILES",
    "FLAGS",
    "enter_new_time_namespace",
    "flags_of",
    "in_initial_user_namespace",
    "is_of_type",
    "set_domainname",
    "set_hostname",
    "setns",
    "shares_with",
    "unshare",
]

# linux/sched.h, under the names of the OCI runtime specification.
FLAGS = {
    "mount": 0x0002_0000,
    "cgroup": 0x0200_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "network": 0x4000_0000,
    "time": 0x0000_0080,
}

# The names of the files in /proc/<pid>/ns.
FILES = {
    "mount": "mnt",
    "cgroup": "cgroup",
    "uts": "uts",
    "ipc": "ipc",
    "user": "user",
    "pid": "pid",
    "network": "net",
    "time": "time",
}

_NS_GET_NSTYPE = 0xB703
_INITIAL_USER_NAMESPACE = 0xEFFF_FFFD

_unshare = SystemCall("unshare", ctypes.c_int)
_setns = SystemCall("setns", ctypes.c_int, ctypes.c_int)
_sethostname = SystemCall("sethostname", ctypes.c_char_p, ctypes.c_size_t)
_setdomainname = SystemCall("setdomainname", ctypes.c_char_p, ctypes.c_size_t)


def flags_of(types: Iterable[str]) -> int:
    """The flags of several types of namespace together."""
    return sum(FLAGS[type_] for type_ in set(types))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones; a new PID namespace holds only children made later."""
    _unshare(flags)
    if recording.active is not None:
        recording.active.note("unshare", flags=flags)


def setns(descriptor: int, flags: int) -> None:
    """Enter a namespace by its file, or several of a process by its pidfd (Linux 5.8)."""
    _setns(descriptor, flags)
    if recording.active is not None:
        recording.active.note("setns", flags=flags, target=recording.path_of(descriptor))


def shares_with(pid: int, namespace: str) -> bool:
    """Whether this process and another are in the same namespace of a kind.

    Raises:
        FileNotFoundError: There is no such process, or the kernel has no such namespaces.
    """
    file = FILES[namespace]
    return os.path.samefile(f"/proc/self/ns/{file}", f"/proc/{pid}/ns/{file}")


def is_of_type(descriptor: int, type_: str) -> bool:
    """Whether an open file is a namespace of this type; see ioctl_ns(2), NS_GET_NSTYPE."""
    try:
        return fcntl.ioctl(descriptor, _NS_GET_NSTYPE) == FLAGS[type_]
    except OSError:
        return False


def in_initial_user_namespace() -> bool:
    """Whether this process is in the user namespace that the machine started with.

    Source: its number is fixed, PROC_USER_INIT_INO in linux/proc_ns.h.
    """
    return os.stat("/proc/self/ns/user").st_ino == _INITIAL_USER_NAMESPACE


def set_hostname(name: str) -> None:
    """Set the host name of this UTS namespace."""
    encoded = name.encode()
    _sethostname(encoded, len(encoded))
    if recording.active is not None:
        recording.active.note("sethostname", name=name)


def set_domainname(name: str) -> None:
    """Set the NIS domain name of this UTS namespace."""
    encoded = name.encode()
    _setdomainname(encoded, len(encoded))
    if recording.active is not None:
        recording.active.note("setdomainname", name=name)


def enter_new_time_namespace(offsets: dict[str, tuple[int, int]]) -> None:
    """Enter a new time namespace whose clocks are moved.

    Args:
        offsets: Seconds and nanoseconds for ``monotonic`` and ``boottime``.
    """
    unshare(FLAGS["time"])
    lines = "".join(f"{clock} {secs} {nanos}\n" for clock, (secs, nanos) in offsets.items())
    # The offsets can be set until the first process is inside; see time_namespaces(7).
    if lines:
        with open("/proc/self/timens_offsets", "w") as file:
            file.write(lines)
        if recording.active is not None:
            recording.active.note("write", file="/proc/self/timens_offsets", value=lines)
    inside = os.open("/proc/self/ns/time_for_children", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(inside, FLAGS["time"])
    finally:
        os.close(inside)
