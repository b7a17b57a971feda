"""``docker run --init``: a small first process, which reaps orphans and forwards signals.

It is a fork of the process that would have become the program, so there is no binary to mount into
the container; it has the program's own rights and none of its maker's descriptors.
"""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["accompany", "lead_foreground"]

# Sent by the kernel for what this process itself does; to forward them would say nothing.
_OWN = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGSEGV,
        signal.SIGSYS,
    }
)
_FROM_SIGNAL = 128  # a shell's and Docker's way to tell a signal in an exit status


def lead_foreground(*, terminal: bool) -> None:
    """Called in the program's process: lead a process group, the terminal's foreground one."""
    os.setpgid(0, 0)
    if terminal:
        os.tcsetpgrp(0, os.getpid())


def accompany(program: int) -> int:
    """Reap and forward until the program has ended: its exit status.

    All signals must be blocked, so that each waits to be taken here.
    """
    waited_for = signal.valid_signals()
    while True:
        caught = signal.sigwaitinfo(waited_for)
        if caught.si_signo not in _OWN:
            with contextlib.suppress(ProcessLookupError):
                os.kill(program, caught.si_signo)
        elif caught.si_signo == signal.SIGCHLD:
            status = _reap(program)
            if status is not None:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else _FROM_SIGNAL - code


def _reap(program: int) -> int | None:
    """Take the status of every child that has ended; the program's, if it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == program:
            found = status
