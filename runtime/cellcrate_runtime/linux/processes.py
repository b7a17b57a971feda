"""Making processes in new namespaces, and the settings of a process that only Linux has."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal

from cellcrate_runtime.linux import recording
from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = [
    "ALL_SIGNALS",
    "CLONE_CLEAR_SIGHAND",
    "CLONE_INTO_CGROUP",
    "CLONE_PARENT",
    "NO_SIGNALS",
    "block_signals",
    "clone",
    "close_all_but",
    "die_with_parent",
    "forbid_new_privileges",
    "hide_from_others",
    "join_new_session_keyring",
    "reset_signals",
    "set_io_priority",
    "show_to_others",
]

# linux/sched.h
CLONE_PIDFD = 0x1000
CLONE_PARENT = 0x8000
CLONE_CLEAR_SIGHAND = 0x1_0000_0000
CLONE_INTO_CGROUP = 0x2_0000_0000

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_LAST_DESCRIPTOR = 0xFFFF_FFFF
_KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_IOPRIO_WHO_PROCESS = 1  # linux/ioprio.h
_IOPRIO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IOPRIO_CLASS_SHIFT = 13


class _CloneArguments(ctypes.Structure):
    """``struct clone_args`` of clone3(2)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


# The kernel's struct sigaction, all zeros: SIG_DFL, no flags, nothing blocked; see sigaction(2).
_DEFAULT_ACTION = bytes(32)
_SIGNAL_SET_SIZE = 8
_SIG_SETMASK = 2

_clone3 = SystemCall("clone3", ctypes.c_void_p, ctypes.c_size_t)
_clone = SystemCall("clone", *[ctypes.c_ulong] * 5)
_prctl = SystemCall("prctl", *[ctypes.c_ulong] * 5)
_close_range = SystemCall("close_range", ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
_rt_sigaction = SystemCall(
    "rt_sigaction", ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t
)
_rt_sigprocmask = SystemCall(
    "rt_sigprocmask", ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
)
_keyctl = SystemCall("keyctl", ctypes.c_int, ctypes.c_char_p)
_ioprio_set = SystemCall("ioprio_set", ctypes.c_int, ctypes.c_int, ctypes.c_int)


def clone(flags: int, *, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork, into new namespaces: ``(pid, pidfd)`` in the parent, ``(0, -1)`` in the child.

    None of Python's fork hooks run. Both sides go on as before the call, so the caller must have a
    single thread, and the child should soon execute a program or leave by ``os._exit``.

    Args:
        flags: ``CLONE_NEW…`` and such, see clone(2); SIGCHLD is the exit signal.
        cgroup_fd: A cgroup v2 folder that the child is born in.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArguments(
        flags=flags | CLONE_PIDFD,
        pidfd=ctypes.addressof(pidfd),
        # With CLONE_PARENT the caller's own exit signal is taken over.
        exit_signal=0 if flags & CLONE_PARENT else signal.SIGCHLD,
    )
    if cgroup_fd is not None:
        arguments.flags |= CLONE_INTO_CGROUP
        arguments.cgroup = cgroup_fd
    try:
        pid = _clone3(ctypes.byref(arguments), ctypes.sizeof(arguments))
    except OSError as error:
        # Sandboxes that cannot look into the structure answer that there is no clone3.
        if error.errno != errno.ENOSYS or cgroup_fd is not None:
            raise
        old_flags = (flags & 0xFFFF_FFFF) | CLONE_PIDFD | signal.SIGCHLD
        pid = _clone(old_flags, 0, ctypes.addressof(pidfd), 0, 0)
    return (pid, pidfd.value) if pid else (0, -1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; a change of user undoes it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def hide_from_others() -> None:
    """Close this process to ptrace(2), and its ``/proc/<pid>/exe`` and ``fd`` to a container.

    What is executed later is open again. This is what keeps a container from reaching the host
    through a process that has joined it and has not yet executed its program (CVE-2019-5736).
    """
    _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def show_to_others() -> None:
    """Undo :func:`hide_from_others`, or the same as done by a change of user."""
    _prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def forbid_new_privileges() -> None:
    """Set no_new_privs: set-user-id programs and file capabilities no longer raise anything."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if recording.active is not None:
        recording.active.note("no_new_privs")


def close_all_but(kept: int, beginning: int = 3) -> None:
    """Close every descriptor from the beginning on, except one, which is not before it."""
    for first, last in ((beginning, kept - 1), (kept + 1, _LAST_DESCRIPTOR)):
        if first > last:
            continue
        try:
            _close_range(first, last, 0)
        except OSError as error:
            # Before Linux 5.9, or behind a filter that is older.
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            os.closerange(first, min(last, resource.getrlimit(resource.RLIMIT_NOFILE)[1]) + 1)


def join_new_session_keyring() -> None:
    """Leave the host's session keyring for a new one, where the kernel has keyrings."""
    try:
        # Without a name: by a name, somebody else's keyring could be found.
        _keyctl(_KEYCTL_JOIN_SESSION_KEYRING, None)
    except OSError as error:
        # Sandboxes forbid keyctl(2), and then nothing in it can use a keyring either.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return
    if recording.active is not None:
        recording.active.note("keyring")


def set_io_priority(class_name: str, level: int) -> None:
    """Set this process's I/O scheduling class (``IOPRIO_CLASS_BE`` ...) and level, 0 to 7."""
    value = _IOPRIO_CLASSES[class_name] << _IOPRIO_CLASS_SHIFT | level
    _ioprio_set(_IOPRIO_WHO_PROCESS, 0, value)


ALL_SIGNALS = (1 << 64) - 1
NO_SIGNALS = 0


def block_signals(mask: int) -> int:
    """Block exactly these signals, and return which were blocked; bit n - 1 stands for signal n.

    As signal.pthread_sigmask, which makes a hundred objects for what are two numbers: that is much
    in a start, and in the memory of every shim.
    """
    before = ctypes.c_uint64()
    after = ctypes.c_uint64(mask)
    _rt_sigprocmask(
        _SIG_SETMASK, ctypes.addressof(after), ctypes.addressof(before), _SIGNAL_SET_SIZE
    )
    return before.value


def reset_signals() -> None:
    """Give every ignored signal its default meaning again.

    execve(2) does so for signals that are handled, but what is ignored (Python ignores SIGPIPE)
    would stay ignored in the program.
    """
    for number in _ignored_signals():
        _rt_sigaction(number, _DEFAULT_ACTION, None, _SIGNAL_SET_SIZE)


def _ignored_signals() -> list[int]:
    """What the kernel says is ignored; Python knows only of what was set through it."""
    file = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.read(file, 16384)
    finally:
        os.close(file)
    mask = int(status.partition(b"\nSigIgn:")[2].split(None, 1)[0], 16)
    return [number for number in range(1, mask.bit_length() + 1) if mask >> (number - 1) & 1]
