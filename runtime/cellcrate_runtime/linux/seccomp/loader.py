"""Putting a filter in force, in the process that is to become the container.

Source: seccomp(2).
"""

from __future__ import annotations

import ctypes
import errno
import os

from cellcrate_runtime.linux import recording
from cellcrate_runtime.linux.syscalls import SystemCall

from .errors import SeccompError, SeccompUnavailableError

__all__ = ["load"]

_SET_MODE_FILTER = 1
_NEW_LISTENER = 1 << 3
_INSTRUCTION = 8  # the size of struct sock_filter


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


# Made when the module is imported, before any fork: the child makes one call and nothing else.
_seccomp = SystemCall("seccomp", ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)


def load(program: bytes, flags: int = 0) -> int | None:
    """Filter the system calls of this thread and its descendants from now on.

    ``program`` and ``flags`` come from :func:`~.compiler.compile` and :func:`~.compiler.flags`.
    The thread needs no_new_privs, or CAP_SYS_ADMIN in its user namespace. Returns the listener's
    descriptor where a rule notifies, otherwise None.

    Raises:
        SeccompError: The kernel refuses the filter.
        SeccompUnavailableError: The kernel has no seccomp filters.
    """
    length = len(program) // _INSTRUCTION
    description = _Program(length, program)
    loaded = None
    if recording.active is not None:  # now, since the filter may allow nothing that this takes
        loaded = recording.active.prepare("seccomp", instructions=length)
    try:
        result = _seccomp(_SET_MODE_FILTER, flags, ctypes.byref(description))
    except OSError as error:
        raise _failure(error.errno or 0) from error
    if loaded is not None:
        loaded()
    return result if flags & _NEW_LISTENER else None


def _failure(number: int) -> SeccompError:
    reason = os.strerror(number)
    if number == errno.ENOSYS:
        return SeccompUnavailableError(
            "This kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)."
        )
    if number == errno.EACCES:
        reason = "it takes no_new_privs, or CAP_SYS_ADMIN in the user namespace"
    return SeccompError(f"The kernel does not take the seccomp filter: {reason}.")
