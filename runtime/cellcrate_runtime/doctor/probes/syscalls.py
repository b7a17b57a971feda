"""Filters of system calls."""

from __future__ import annotations

import ctypes
import errno

from cellcrate_runtime.linux import seccomp
from cellcrate_runtime.linux.processes import forbid_new_privileges

from ..runner import Lacking, Probe

__all__ = ["probes"]


def probes() -> list[Probe]:
    """Return the probe."""
    return [
        Probe(
            "seccomp",
            gives="dangerous system calls are refused, as Docker refuses them",
            without="Containers can make every system call; run only what you trust.",
            attempt=_seccomp,
        )
    ]


def _seccomp() -> str:
    """Load the default filter and see a call refused that it does not allow."""
    try:
        profile = seccomp.default_profile(frozenset())
        program = seccomp.compile(profile)
        forbid_new_privileges()
        seccomp.load(program, seccomp.flags(profile))
    except seccomp.SeccompUnavailableError as error:
        remedy = "sudo apt install libseccomp2" if "libseccomp" in str(error) else ""
        raise Lacking("missing", str(error).partition(" Install")[0], remedy) from error
    except seccomp.SeccompError as error:
        raise Lacking("missing", str(error)) from error
    # unshare(0) changes nothing, and the kernel itself never refuses it
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0) == 0 or ctypes.get_errno() != errno.EPERM:
        raise Lacking("missing", "The filter was loaded and has no effect.")
    return ""
