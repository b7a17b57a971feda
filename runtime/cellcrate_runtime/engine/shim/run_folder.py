"""A running container's folder: the lock that means "alive", the socket, and who is who.

The lock is an flock(2) on the folder itself. The kernel lets go of it however the shim ends, so it
cannot be stale, and process ids that are used again confuse nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TypeAlias

import msgspec

from cellcrate_runtime.linux import unix_sockets

__all__ = [
    "SOCKET",
    "ShimState",
    "acquire",
    "connect",
    "is_locked",
    "listen",
    "read_state",
    "remove",
    "write_state",
]

SOCKET = "shim.sock"
_STATE = "shim.json"

StrPath: TypeAlias = str | os.PathLike[str]


class ShimState(msgspec.Struct):
    """Who keeps a container, for an engine or a launcher that was not there when it started."""

    container_id: str
    shim: int
    pid: int
    started_at: int
    cgroup: str  # as given to Cgroup.open; empty without one
    runtime: list[str] = []  # the program that made it; empty: the embedded runtime


def acquire(folder: str) -> int:
    """Make the folder and lock it; wait for a shim that is just leaving it.

    Returns a descriptor that holds the lock.

    Raises:
        OSError: The folder cannot be made.
    """
    while True:
        _make(folder)
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # it was removed meanwhile
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_still(folder, lock):
            return lock
        os.close(lock)


def is_locked(folder: StrPath) -> bool:
    """Whether a shim lives there, or is about to."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def listen(folder: int) -> socket.socket:
    """Open the socket on which an engine may connect; only the user's own can reach it.

    Args:
        folder: The folder, open: its path may be longer than the 107 bytes of a socket's address.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    path = f"/proc/self/fd/{folder}/{SOCKET}"
    try:
        _unlink(path)
        # Before it has a name, which then has this mode from its first moment.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(4)
    except OSError:
        listener.close()
        raise
    return listener


def connect(folder: StrPath) -> socket.socket:
    """Connect to the socket, which succeeds or fails at once (a full backlog: EAGAIN).

    Raises:
        OSError: Nobody listens there.
    """
    with unix_sockets.address(os.path.join(folder, SOCKET)) as address:
        endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            endpoint.connect(address)
        except OSError:
            endpoint.close()
            raise
    return endpoint


def write_state(folder: str, state: ShimState) -> None:
    """Write who keeps the container; whole, as another process sees it."""
    path = f"{folder}/{_STATE}"
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, msgspec.json.encode(state))
    finally:
        os.close(descriptor)
    os.rename(f"{path}.new", path)


def read_state(folder: StrPath) -> ShimState | None:
    """Read who keeps the container; None where nobody has written it."""
    try:
        with open(os.path.join(folder, _STATE), "rb") as file:
            return msgspec.json.decode(file.read(), type=ShimState)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def remove(folder: str) -> None:
    """Remove the folder; the caller holds its lock."""
    for name in (SOCKET, _STATE, f"{_STATE}.new"):
        _unlink(f"{folder}/{name}")
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(folder)


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(folder, mode=0o700, exist_ok=True)


def _is_still(folder: str, lock: int) -> bool:
    try:
        there = os.stat(folder)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(lock))


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
