"""Run a program under strace(1), and let go of what it leaves behind.

A runtime's ``create`` leaves a process that waits for ``start`` and then executes the container's
program. strace has to see both and must be away afterwards. So it runs beside the program (``-D``,
with which the program stays the caller's child), and ends at SIGTERM without ending whom it watches
(``-I 2``).

strace's option ``--seccomp-bpf`` would make it faster. But the filter that it loads stays in the
container when strace is gone, where it makes calls such as mount(2) and execve(2) fail (ENOSYS).
Source: strace(1).
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import time

from cellcrate_runtime.engine.tracing.system_calls import NAMES

__all__ = ["Strace", "StraceMissingError"]

_LONGEST_STRING = 512  # bytes of an argument or of what is written that are kept
_PATIENCE = 5.0  # seconds
_PAUSE = 0.002


class StraceMissingError(Exception):
    """There is no strace on this machine."""


class Strace:
    """strace around one program and its descendants.

    What it says is kept in memory (memfd_create(2)) and never on a disk: among what a program
    writes is its configuration, with the variables of the container's environment.

    Raises:
        StraceMissingError: It is not installed.
    """

    def __init__(self) -> None:
        program = shutil.which("strace")
        if program is None:
            raise StraceMissingError("strace is not installed: apt-get install strace")
        self._output = os.memfd_create("strace", os.MFD_CLOEXEC)
        self._tracer: int | None = None
        self._waiting_since = 0
        self._end: int | None = None
        # The clock of strace's times, seen from ours.
        self.offset = time.monotonic_ns() - time.time_ns()
        self.command = [
            program,
            *("-D", "-f", "-I", "2", "-ttt", "-T", "-y", "-q"),
            *("-s", str(_LONGEST_STRING), "-e", "signal=none", "-e", f"trace={','.join(NAMES)}"),
            # By this path, so that no descriptor is inherited by the program.
            *("-o", f"/proc/{os.getpid()}/fd/{self._output}"),
        ]

    def found(self, pid: int) -> None:
        """Take note of a process that waits, by which strace itself is found."""
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            tracer = next(line for line in status if line.startswith("TracerPid:"))
        number = int(tracer.split()[1])
        self._tracer = os.pidfd_open(number) if number else None
        self._waiting_since = len(self._read())

    def until_executed(self, pid: int) -> bool:
        """Wait until the process that waited has executed a program, or ended; whether it has.

        What it does as that program is not kept.
        """
        executed = re.compile(rf"^{pid} .*execve.* = 0( <[0-9.]+>)?\n".encode(), re.MULTILINE)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            is_there = os.path.exists(f"/proc/{pid}/exe")
            if line := executed.search(self._read(), self._waiting_since):
                self._end = line.end()
                return True
            if not is_there:
                return False
            time.sleep(_PAUSE)
        return False

    def output(self) -> str:
        """What it has said so far, up to the program."""
        return self._read()[: self._end].decode(errors="replace")

    def _read(self) -> bytes:
        return os.pread(self._output, os.fstat(self._output).st_size, 0)

    def end(self) -> None:
        """Let go of everybody, wait until strace has ended, and forget what it said. Idempotent."""
        if self._tracer is not None:
            _end(self._tracer)
            # It is a subreaper's child, since its own parent, the program, has ended.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self._tracer, os.WEXITED | os.WNOHANG)
            os.close(self._tracer)
            self._tracer = None
        if self._output >= 0:
            os.close(self._output)
            self._output = -1


def _end(strace: int) -> None:
    """Tell strace to end, and wait until it has.

    It is told again and again: a signal that comes just before it waits for the next event is not
    looked at before there is one, which a program that sleeps does not make.
    """
    ended = select.poll()
    ended.register(strace, select.POLLIN)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(strace, signal.SIGTERM)
        if ended.poll(_PAUSE * 1000):
            return
