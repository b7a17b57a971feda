"""Capabilities: the pieces that root's power is split into; see capabilities(7)."""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Iterable

import msgspec

from cellcrate_runtime.linux import recording
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["NAMES", "CapabilitySets", "apply", "keep_across_user_change", "mask", "permitted"]

# linux/capability.h; a capability's number is its place.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
_NUMBERS = {name: number for number, name in enumerate(NAMES)}

# linux/prctl.h
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_VERSION_3 = 0x2008_0522  # _LINUX_CAPABILITY_VERSION_3: 64 bits a set, as two words
_HEADER = struct.pack("Ii", _VERSION_3, 0)
_SETS = struct.Struct("6I")  # effective, permitted, inheritable: low words, then high words

_prctl = SystemCall("prctl", *[ctypes.c_ulong] * 5)
_prctl_of_one = SystemCall("prctl", ctypes.c_ulong, ctypes.c_ulong)  # looks at one argument only
_capset = SystemCall("capset", ctypes.c_char_p, ctypes.c_char_p)
_capget = SystemCall("capget", ctypes.c_char_p, ctypes.c_char_p)


class CapabilitySets(msgspec.Struct, frozen=True):
    """The five sets of a process, a bit a capability."""

    bounding: int = 0
    permitted: int = 0
    effective: int = 0
    inheritable: int = 0
    ambient: int = 0


@functools.cache
def last() -> int:
    """The number of the last capability that this kernel knows."""
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


def mask(names: Iterable[str]) -> int:
    """The bits of some capabilities, without those that this kernel is too old for.

    Raises:
        KeyError: A name is no capability's.
    """
    bits = 0
    for name in names:
        bits |= 1 << _NUMBERS[name]
    return bits & ((2 << last()) - 1)


def permitted() -> int:
    """The capabilities that this process may use."""
    sets = ctypes.create_string_buffer(_SETS.size)
    _capget(_HEADER, sets)
    words: tuple[int, ...] = _SETS.unpack(sets.raw)
    return words[1] | words[4] << 32


def keep_across_user_change(keep: bool) -> None:
    """Whether a change from root to another user leaves the permitted set as it is."""
    _prctl_of_one(_PR_SET_KEEPCAPS, int(keep))


def drop_bounding(keep: int) -> None:
    """Take everything but ``keep`` out of the bounding set; this needs CAP_SETPCAP."""
    for number in range(last() + 1):
        if not keep >> number & 1:
            _prctl_of_one(_PR_CAPBSET_DROP, number)
            if recording.active is not None:
                recording.active.note("capbset_drop", capability=number)


def set_current(effective: int, permitted: int, inheritable: int) -> None:
    """Set three of the sets at once: capset(2)."""
    low, high = 0xFFFF_FFFF, 32
    sets = (effective, permitted, inheritable)
    _capset(_HEADER, _SETS.pack(*(s & low for s in sets), *(s >> high for s in sets)))


def apply(sets: CapabilitySets) -> None:
    """Become what ``sets`` says, bounding set excepted: :func:`drop_bounding` comes first,
    while there is still the right to."""
    set_current(sets.effective, sets.permitted, sets.inheritable)
    if recording.active is not None:
        recording.active.note(
            "capset",
            effective=sets.effective,
            permitted=sets.permitted,
            inheritable=sets.inheritable,
        )
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(sets.ambient.bit_length()):
        if sets.ambient >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number, 0, 0)
            if recording.active is not None:
                recording.active.note("cap_ambient", capability=number)
