"""System calls that Python's ``os`` module does not offer, called through the C library.

The functions are made once, at import, with their argument types. They go through
``ctypes.PyDLL``, which keeps the interpreter lock during the call: what is called here is short,
and a process that :func:`~cellcrate_runtime.linux.processes.clone` has made wakes up holding it.

Source of the numbers: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and
scripts/syscall.tbl (the table of arm64 and riscv64); from 424 on all architectures agree.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["SystemCall"]

_libc = ctypes.PyDLL(None, use_errno=True)

_X86_64 = {
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "clone": 56,
    "setgroups": 116,
    "setresuid": 117,
    "setresgid": 119,
    "capset": 126,
    "personality": 135,
    "pivot_root": 155,
    "prctl": 157,
    "mount": 165,
    "umount2": 166,
    "sethostname": 170,
    "setdomainname": 171,
    "set_mempolicy": 238,
    "keyctl": 250,
    "ioprio_set": 251,
    "inotify_add_watch": 254,
    "unshare": 272,
    "inotify_init1": 294,
    "setns": 308,
    "sched_setattr": 314,
    "seccomp": 317,
    "bpf": 321,
    "setfsuid": 122,
    "setfsgid": 123,
    "capget": 125,
}

_GENERIC = {
    "inotify_init1": 26,
    "inotify_add_watch": 27,
    "ioprio_set": 30,
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "capget": 90,
    "capset": 91,
    "personality": 92,
    "unshare": 97,
    "rt_sigaction": 134,
    "rt_sigprocmask": 135,
    "setresuid": 147,
    "setresgid": 149,
    "setfsuid": 151,
    "setfsgid": 152,
    "setgroups": 159,
    "sethostname": 161,
    "setdomainname": 162,
    "prctl": 167,
    "keyctl": 219,
    "clone": 220,
    "set_mempolicy": 237,
    "setns": 268,
    "sched_setattr": 274,
    "seccomp": 277,
    "bpf": 280,
}

_EVERYWHERE = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}

_OF_THIS_MACHINE = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}.get(
    os.uname().machine, {}
)


class SystemCall:
    """One system call, ready to be made.

    Calling it returns what the kernel returned, and raises :class:`OSError` with the kernel's error
    number where that is negative; ``about`` names the file or thing in the error.
    """

    __slots__ = ("_function", "_number", "name")

    def __init__(self, name: str, *argument_types: type) -> None:
        self.name = name
        number = _EVERYWHERE.get(name, _OF_THIS_MACHINE.get(name))
        # The kernel answers ENOSYS to this number, as it does to any that it does not know.
        self._number = -1 if number is None else number
        # Indexing makes a new function object each time, so that each has its own types.
        self._function = _libc["syscall"]
        self._function.restype = ctypes.c_long
        self._function.argtypes = (ctypes.c_long, *argument_types)

    def __call__(self, *arguments: object, about: str | None = None) -> int:
        result: int = self._function(self._number, *arguments)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), about)
        return result
