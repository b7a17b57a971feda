"""Accompany a program until its end: its signals, its terminal, its exit status."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Iterator

from cellcrate_runtime.linux import terminals
from cellcrate_runtime.oci.container import InitProcess

__all__ = ["accompany", "stop_accompanying"]

_FROM_SIGNAL = 128  # a shell's way to tell a signal in an exit status
_NOT_FORWARDED = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGKILL,
        signal.SIGSTOP,
        signal.SIGPIPE,
        signal.SIGURG,
        signal.SIGWINCH,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
    }
)
_CHUNK = 32 * 1024  # bytes


def accompany(process: InitProcess, after_start: Callable[[], None] = lambda: None) -> int:
    """Start a process and stay until it ends: its exit status, 128 and more after a signal."""
    with _signals_forwarded(process):
        if process.console is None:
            process.start()
            after_start()
        else:
            # Whoever reads this program's output has a terminal, or none: both take newlines alone.
            terminals.keep_newlines(process.console)
            with _raw_terminal():
                _follow_size(process.console)
                process.start()
                after_start()
                _copy(process.console, process.pidfd)
        _, status = os.waitpid(process.pid, 0)
    stop_accompanying(process)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _FROM_SIGNAL - code


def stop_accompanying(process: InitProcess) -> None:
    """Let go of a process that has been started."""
    os.close(process.pidfd)
    if process.console is not None:
        os.close(process.console)


@contextlib.contextmanager
def _signals_forwarded(process: InitProcess) -> Iterator[None]:
    def forward(number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(process.pidfd, number)

    before = {}
    for number in signal.valid_signals() - _NOT_FORWARDED:
        with contextlib.suppress(OSError):  # the C library keeps some to itself
            before[number] = signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Leave all keys to the program's terminal, where standard input is a terminal."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed already is the program's
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _follow_size(console: int) -> None:
    def follow(*_: object) -> None:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(0)
            terminals.set_size(console, size.lines, size.columns)

    follow()
    signal.signal(signal.SIGWINCH, follow)


def _copy(console: int, pidfd: int) -> None:
    """Copy both ways until the program has ended and all its output is here."""
    sources = [0, console, pidfd]
    while sources:
        ready, _, _ = select.select(sources, [], [])
        if console in ready:
            if not _write_all(1, _read(console)):
                return
        elif pidfd in ready:
            return  # and there is nothing more to read
        if 0 in ready:
            keys = _read(0)
            if not keys or not _write_all(console, keys):
                sources.remove(0)


def _read(source: int) -> bytes:
    try:
        return os.read(source, _CHUNK)
    except OSError:  # EIO: nobody has the other side of a terminal open
        return b""


def _write_all(target: int, data: bytes) -> bool:
    """Write everything; False if there was nothing, or nobody to write it to."""
    if not data:
        return False
    try:
        while data:
            data = data[os.write(target, data) :]
    except OSError:
        return False
    return True
