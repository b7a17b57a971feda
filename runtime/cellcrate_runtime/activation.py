"""Have an engine running: whoever needs one calls :func:`ensure_engine`.

Only the standard library is imported, and little of it, because notebooks import this module.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cellcrate_runtime.paths import Paths

__all__ = ["EngineStartError", "engine_pid", "ensure_engine", "is_answering", "log_file"]

_TAIL = 2000  # bytes of the log that an error shows
READY = b"ready\n"


class EngineStartError(RuntimeError):
    """No engine answered, and none could be started; the message says where its log is."""


def ensure_engine(paths: Paths | None = None, timeout: float = 30.0) -> Path:
    """Return the socket of an engine that answers, starting one if there is none.

    The engine that is started belongs to no terminal, session or parent: it outlives its caller,
    and leaves by itself when it has been idle. Several processes may call this at once.

    Args:
        paths: Whose engine; that of the environment when missing.
        timeout: Seconds to wait for it.

    Raises:
        EngineStartError: No engine answered in time.
        PermissionError: A state folder belongs to somebody else.
    """
    paths = paths or Paths.from_environment()
    if is_answering(paths.socket):
        return paths.socket
    paths.make()
    deadline = time.monotonic() + timeout
    with _only_one_starts(paths, deadline):
        if not is_answering(paths.socket):
            _start(paths, deadline)
    return paths.socket


def log_file(paths: Paths) -> Path:
    """Where an engine that was started in the background writes what went wrong."""
    return paths.data / "engine.log"


def is_answering(path: Path, timeout: float = 5.0) -> bool:
    """Tell whether an engine answers on a socket; this also keeps it from leaving just now."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(os.fspath(path))
            connection.sendall(
                b"GET /_ping HTTP/1.1\r\nHost: cellcrate\r\nConnection: close\r\n\r\n"
            )
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def engine_pid(path: Path) -> int | None:
    """Return the process id of the engine that listens on a socket; None when none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(os.fspath(path))
        except OSError:
            return None
        # SO_PEERCRED names the process that called listen(2); see unix(7).
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)


@contextmanager
def _only_one_starts(paths: Paths, deadline: float) -> Iterator[None]:
    """Hold the lock under which engines are started."""
    with open(paths.run / "start.lock", "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise _failure(paths, "another process is still starting it") from None
                time.sleep(0.02)
        yield


def _start(paths: Paths, deadline: float) -> None:
    """Start an engine in the background and wait until it says that it is ready."""
    import subprocess

    read_end, write_end = os.pipe()
    package = Path(__file__).resolve().parents[1]
    environment = dict(os.environ)
    # The engine must be of the same code as we are, installed or not.
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(package), os.environ.get("PYTHONPATH")))
    )
    command = [sys.executable, "-P", "-m", "cellcrate_runtime.engine.main"]
    command += ["--data", str(paths.data), "--run", str(paths.run), "--ready", str(write_end)]
    log = log_file(paths)
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                pass_fds=(write_end,),
                start_new_session=True,
                cwd="/",
                env=environment,
                check=False,
            )
        finally:
            os.close(descriptor)
            os.close(write_end)
        _wait_until_ready(read_end, paths, deadline)
    finally:
        os.close(read_end)


def _wait_until_ready(read_end: int, paths: Paths, deadline: float) -> None:
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise _failure(paths, "it did not get ready in time")
    if os.read(read_end, len(READY)) != READY:
        raise _failure(paths, "it ended while it started")


def _failure(paths: Paths, why: str) -> EngineStartError:
    log = log_file(paths)
    try:
        tail = log.read_bytes()[-_TAIL:].decode(errors="replace").strip()
    except OSError:
        tail = ""
    message = f"The Cellcrate engine could not be started: {why}. Its log is {log}."
    return EngineStartError(f"{message} It ends with:\n{tail}" if tail else message)
