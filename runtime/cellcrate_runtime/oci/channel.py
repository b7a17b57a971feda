"""How a process in the making and its maker speak: a pair of sockets, closed by execve(2).

========================  ==============================================================
from the maker            (a plan, to a process that was made before there was one)
                          :data:`IDENTITY`: the ids are mapped, the cgroup is joined
                          :data:`HOOKED`: devices are moved, the hooks outside have run
                          :data:`START`: execute the program
from the process          :data:`BUILT`: it is time for what the maker does then
                          :data:`LISTENER` (with a descriptor): a seccomp filter notifies
                          :data:`READY` (with a terminal's master): the walls are up
                          :data:`CHILD` and a process id: this is who goes on
                          :data:`FAILED` and a reason: nothing more will come
========================  ==============================================================

That the socket closes means, to the maker, that the program runs (or that the process died), and to
the process, that its maker died, so it leaves.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Callable

from cellcrate_runtime.oci.errors import OCIError, StartError

__all__ = [
    "BUILT",
    "CHILD",
    "FAILED",
    "HOOKED",
    "IDENTITY",
    "LISTENER",
    "READY",
    "START",
    "MakerEnd",
    "ProcessEnd",
    "accept_starter",
    "make_pair",
]

IDENTITY = b"i"
START = b"s"
HOOKED = b"h"
BUILT = b"b"
LISTENER = b"l"
READY = b"r"
CHILD = b"c"
FAILED = b"f"

_LONGEST = 192 * 1024  # bytes of a message; a socket's buffer has 208 KiB
_MOST_DESCRIPTORS = 250  # beside a message; the kernel's SCM_MAX_FD is 253
_LONGEST_REASON = 8 * 1024  # characters, of four bytes at most


class ProcessEnd:
    """The end of the process in the making.

    Attributes:
        fd: The socket.
        doing: What is being done, for the message if it fails.
    """

    __slots__ = ("doing", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.doing = "cannot begin"

    def wait_for(self, message: bytes) -> None:
        """Wait for the maker; leave if it is gone."""
        if os.read(self.fd, 1) != message:
            os._exit(1)

    def wait_for_plan(self) -> tuple[bytes, list[int]]:
        """Wait for a plan and its descriptors; leave if the maker is gone."""
        with socket.socket(fileno=os.dup(self.fd)) as receiver:
            message, descriptors, _, _ = socket.recv_fds(
                receiver, _LONGEST, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        if not message:
            os._exit(1)
        return message, descriptors

    def say_built(self) -> None:
        """Say that the walls are built, and not entered yet; where the maker waits for that."""
        os.write(self.fd, BUILT)

    def ready_to_say_listener(self) -> Callable[[int], None]:
        """Make what hands a seccomp filter's descriptor over in one system call: sendmsg(2)."""
        sender = socket.socket(fileno=os.dup(self.fd))
        return lambda listener: self._say_listener(sender, listener)

    @staticmethod
    def _say_listener(sender: socket.socket, listener: int) -> None:
        with sender:
            socket.send_fds(sender, [LISTENER], [listener])

    def say_ready(self, console: int | None) -> None:
        """Say that the walls are up, and hand over the master of the terminal."""
        if console is None:
            os.write(self.fd, READY)
            return
        with socket.socket(fileno=os.dup(self.fd)) as sender:
            socket.send_fds(sender, [READY], [console])

    def say_child(self, pid: int) -> None:
        """Say who goes on from here."""
        os.write(self.fd, CHILD + str(pid).encode())

    def say_failed(self, error: BaseException) -> None:
        """Say why nothing more will come."""
        if isinstance(error, OSError):
            error = OCIError.from_os_error(error, self.doing)
        elif not isinstance(error, OCIError):
            error = OCIError(f"{self.doing}: {error or type(error).__name__}")
        # In a form that whoever only starts a container can read without loading anything.
        when = "start" if isinstance(error, StartError) else ""
        failure = "\0".join((when, error.kind, str(error.errno), error.message[:_LONGEST_REASON]))
        os.write(self.fd, FAILED + failure.encode(errors="surrogateescape"))


class MakerEnd:
    """The maker's end."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._earlier: list[tuple[bytes, int | None]] = []

    def close(self) -> None:
        """Close it; a process that still waits then leaves."""
        self._socket.close()

    def tell(self, message: bytes) -> None:
        """Let the process go on to its next part; if it died, that will be heard."""
        with contextlib.suppress(BrokenPipeError):
            self._socket.send(message)

    def send_plan(self, plan: bytes, descriptors: list[int]) -> None:
        """Send a plan to a process that was made in advance.

        If it died, that will be heard.
        """
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._socket, [plan], descriptors)

    def hear_child(self) -> int:
        """Wait for a go-between to say which process goes on.

        Raises:
            OCIError: The go-between failed, or was killed.
        """
        earlier: list[tuple[bytes, int | None]] = []
        while True:
            message, descriptor = self._receive()
            if message[:1] == CHILD:
                # The new process may have been faster than the go-between could name it.
                self._earlier = earlier
                return int(message[1:])
            if not message:
                raise _failure(earlier[0][0]) if earlier else _killed()
            earlier.append((message, descriptor))

    def hear_built(self) -> None:
        """Wait until it is time for the hooks outside.

        Raises:
            OCIError: The process failed, or was killed.
        """
        message, _ = self._receive()
        if message != BUILT:
            raise _failure(message) if message else _killed()

    def hear_listener(self) -> int:
        """Wait for the descriptor of the process's seccomp filter; the caller closes it.

        Raises:
            OCIError: The process failed, or was killed.
        """
        message, descriptor = self._receive()
        if message != LISTENER or descriptor is None:
            raise _failure(message) if message else _killed()
        return descriptor

    def hear_ready(self) -> int | None:
        """Wait until the walls are up: the master of the terminal, if there is one.

        Raises:
            OCIError: The process failed, or was killed.
        """
        message, descriptor = self._receive()
        if message == READY:
            return descriptor
        raise _failure(message) if message else _killed()

    def hear_end(self) -> None:
        """Wait until the socket is closed: the program runs.

        Raises:
            StartError: It cannot be executed.
        """
        if message := self._receive()[0]:
            raise _failure(message)

    def _receive(self) -> tuple[bytes, int | None]:
        """What the process says next, and a descriptor if one came; nothing if it has closed."""
        if self._earlier:
            return self._earlier.pop(0)
        try:
            message, descriptors, _, _ = socket.recv_fds(
                self._socket, _LONGEST, 1, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return b"", None  # it died before it read what it was told
        return message, descriptors[0] if descriptors else None


def _failure(message: bytes) -> OCIError:
    when, kind, errno, words = message[1:].decode(errors="surrogateescape").split("\0", 3)
    error = StartError if when else OCIError
    return error(words, kind, int(errno))  # type: ignore[arg-type]  # one of those that are said


def _killed() -> OCIError:
    return OCIError("the process was killed before its program could start")


def make_pair() -> tuple[MakerEnd, ProcessEnd]:
    """Make both ends. The process's is above the standard descriptors, which it will replace."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return MakerEnd(ours), ProcessEnd(fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3))


def accept_starter(listener: int) -> int:
    """Wait for a process that will say START, where no maker is left to: the end to it.

    What the maker had to be told before, it has been told. The listener is closed.
    """
    with socket.socket(fileno=listener) as waiting:
        starter, _ = waiting.accept()
    return starter.detach()
