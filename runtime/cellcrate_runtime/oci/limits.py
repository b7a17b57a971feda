"""Limits and scores of a process that only somebody outside of the container may set."""

from __future__ import annotations

import contextlib
import os
import resource

from cellcrate_runtime.linux import recording
from cellcrate_runtime.oci.errors import OCIError
from cellcrate_runtime.oci.spec import Process, RLimit

__all__ = [
    "RLIMITS",
    "allow_all_cpus",
    "set_oom_score_adj",
    "set_own_rlimits",
    "set_rlimits",
]

# asm-generic/resource.h; Python has no name for one of them.
RLIMITS: dict[str, int] = {
    name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
} | {"RLIMIT_LOCKS": 10, "RLIMIT_RTTIME": 15}
RLIMITS.pop("RLIMIT_OFILE", None)  # an old name that the specification does not have


def set_oom_score_adj(pid: int, process: Process) -> None:
    """Set how readily the out-of-memory killer picks a process (proc(5), oom_score_adj).

    A score lower than the caller's own takes CAP_SYS_RESOURCE of the host's root. Without it the
    process keeps the caller's score, which is what Docker does when it runs without root.
    """
    if process.oom_score_adj is None:
        return
    path = f"/proc/{pid}/oom_score_adj"
    try:
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, str(process.oom_score_adj).encode())
        finally:
            os.close(file)
    except PermissionError:
        pass
    except OSError as error:
        raise OCIError.from_os_error(error, "cannot set process.oomScoreAdj") from error
    else:
        if recording.active is not None:
            recording.active.note("write", file=path, value=str(process.oom_score_adj))


def allow_all_cpus(pid: int) -> None:
    """Undo what the maker was confined to, by taskset(1) for one; the control group's CPUs stay.

    Without CAP_SYS_NICE another user's process cannot be changed, and goes on with its maker's.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setaffinity(pid, range(os.sysconf("SC_NPROCESSORS_CONF")))


def set_rlimits(pid: int, process: Process) -> None:
    """Set the resource limits of a process (prlimit(2)).

    Those of another user's process take CAP_SYS_RESOURCE; without it they are left to
    :func:`set_own_rlimits`.

    Raises:
        OCIError: A limit is above the present hard limit, and the caller may not raise that.
    """
    for limit in process.rlimits:
        _set_rlimit(pid, limit)


def set_own_rlimits(process: Process) -> None:
    """Set what limits of this process's own its maker was not allowed to.

    Raises:
        OCIError: As :func:`set_rlimits`.
    """
    for limit in process.rlimits:
        wanted = (_number(limit.soft), _number(limit.hard))
        if resource.getrlimit(RLIMITS[limit.type]) != wanted:
            _set_rlimit(0, limit)


def _set_rlimit(pid: int, limit: RLimit) -> None:
    number = RLIMITS[limit.type]
    try:
        resource.prlimit(pid, number, (_number(limit.soft), _number(limit.hard)))
    except PermissionError as error:
        try:
            highest = resource.prlimit(pid, number)[1]
        except PermissionError:
            return  # it is not for lack of room
        raise OCIError(
            f"cannot set {limit.type} to {limit.hard}: the highest that may be set here is "
            f"{highest}. Ask for less, or raise the hard limit of whoever starts the engine",
            "permission",
            error.errno or 0,
        ) from error
    if recording.active is not None:
        recording.active.note(
            "prlimit64",
            resource=limit.type,
            soft=_number(limit.soft),
            hard=_number(limit.hard),
        )


def _number(value: int) -> int:
    """As Python has it: -1 is no limit, for which the kernel has all bits set."""
    return resource.RLIM_INFINITY if value == (1 << 64) - 1 else value
