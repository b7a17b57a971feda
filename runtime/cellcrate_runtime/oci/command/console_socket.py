"""Handing a terminal, or a process, to the caller: a descriptor, over a socket it listens on.

Source: runc's docs/terminals.md, "Detached"; unix(7), SCM_RIGHTS.
"""

from __future__ import annotations

import socket

from cellcrate_runtime.linux import unix_sockets
from cellcrate_runtime.oci.command.errors import CommandError

__all__ = ["check", "send_console", "send_process"]

# What goes with a descriptor, which has to be some byte at least: runc's names of them.
_TERMINAL = b"/dev/ptmx"
_PROCESS = b"pidfd"


def check(path: str, *, terminal: bool, leaves: bool) -> None:
    """Refuse a console socket without a terminal, and a terminal that nobody would hold.

    Args:
        path: Of ``--console-socket``; empty if it was not given.
        terminal: Whether the program gets a terminal.
        leaves: Whether this program leaves while the other one runs.
    """
    if leaves and terminal and not path:
        raise CommandError(
            "cannot allocate tty if cellcrate-oci will detach without setting console socket"
        )
    if path and not (leaves and terminal):
        raise CommandError(
            "cannot use console socket if cellcrate-oci will not detach or allocate tty"
        )


def send_console(path: str, master: int) -> None:
    """Send the master of a terminal, and let go of it."""
    _send(path, master, _TERMINAL, "the terminal")


def send_process(path: str, pidfd: int) -> None:
    """Send a process's pidfd, where ``--pidfd-socket`` names a socket."""
    if path:
        _send(path, pidfd, _PROCESS, "the process's pidfd")


def _send(path: str, descriptor: int, name: bytes, what: str) -> None:
    try:
        with (
            unix_sockets.address(path) as address,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.connect(address)
            socket.send_fds(connection, [name], [descriptor])
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise CommandError(f"cannot send {what} to {path}: {words}") from error
