"""The pipes or the terminal between a program and its shim."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from cellcrate_runtime.oci.container import Stdio

__all__ = ["NoTerminalError", "ProgramStreams", "close_stdio"]

_TIOCGPTPEER = 0x5441  # opens the other side of a terminal without its path; see ioctl_tty(2)


class NoTerminalError(Exception):
    """A terminal's size was asked to change where there is no terminal."""


class ProgramStreams:
    """The shim's ends of one program's standard streams.

    Attributes:
        tty: Whether they are one terminal.
        input: What is written here the program reads; None when it reads nothing (any more).
        outputs: What to read its output from, by stream: 1 is stdout, or the terminal; 2 stderr.
    """

    def __init__(self, tty: bool, input: int | None, outputs: dict[int, int]) -> None:
        self.tty = tty
        self.input = input
        self.outputs = outputs
        self._peer: int | None = None
        for descriptor in (*outputs.values(), *([] if input is None else [input])):
            os.set_blocking(descriptor, False)

    @classmethod
    def pipes(cls, *, stdin: bool, stdout: bool, stderr: bool) -> tuple[ProgramStreams, Stdio]:
        """Make a pipe for each wanted stream; the others are ``/dev/null``.

        Returns our ends and the program's, to be closed with :func:`close_stdio`.
        """
        outputs = {}
        theirs = []
        for stream, wanted in ((1, stdout), (2, stderr)):
            if wanted:
                outputs[stream], end = os.pipe()
            else:
                end = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            theirs.append(end)
        our_input = None
        if stdin:
            their_input, our_input = os.pipe()
        else:
            their_input = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return cls(False, our_input, outputs), Stdio(their_input, *theirs)

    @classmethod
    def terminal(cls, console: int, *, stdin: bool) -> ProgramStreams:
        """Use a terminal, of which ``console`` is the master side; it belongs to the streams."""
        # A second descriptor for writing, so that each direction is watched by itself.
        streams = cls(True, os.dup(console) if stdin else None, {1: console})
        # While somebody has the other side open, the terminal does not report an end just because
        # the program has closed it, maybe to open it again.
        streams._peer = fcntl.ioctl(console, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        return streams

    def resize(self, width: int, height: int) -> None:
        """Change the terminal's size, in characters; its foreground programs get SIGWINCH.

        Raises:
            NoTerminalError: The streams are pipes, or the terminal is closed.
        """
        console = self.outputs.get(1)
        if not self.tty or console is None:
            raise NoTerminalError("there is no terminal whose size could change")
        fcntl.ioctl(console, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def release_terminal(self) -> None:
        """Let the terminal report its end; call it once the program has ended."""
        if self._peer is not None:
            os.close(self._peer)
            self._peer = None

    def close(self) -> None:
        """Close everything."""
        self.release_terminal()
        for descriptor in self.outputs.values():
            os.close(descriptor)
        self.outputs.clear()
        if self.input is not None:
            os.close(self.input)
            self.input = None


def close_stdio(stdio: Stdio) -> None:
    """Close the program's ends once the program has them."""
    for descriptor in (stdio.stdin, stdio.stdout, stdio.stderr):
        os.close(descriptor)
