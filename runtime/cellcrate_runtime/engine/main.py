"""The engine's process: one for each home, from its lock to its last request."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from cellcrate_runtime.activation import READY, engine_pid, is_answering
from cellcrate_runtime.paths import Paths

__all__ = ["AlreadyRunningError", "main", "run"]

IDLE_SECONDS = 600.0
_LOCK_PATIENCE = 10.0  # seconds for an engine that is leaving to have left

_log = logging.getLogger("cellcrate")


class AlreadyRunningError(RuntimeError):
    """Another engine serves this home."""


def run(
    socket: Path | None = None,
    paths: Paths | None = None,
    *,
    idle_seconds: float = IDLE_SECONDS,
    ready: int | None = None,
) -> int:
    """Serve the Docker Engine API in the foreground until told to leave; return the exit status.

    Args:
        socket: Where to serve; that of ``paths`` when missing.
        paths: The engine's state; that of the environment when missing.
        idle_seconds: Leave after so long without a request and without a running container; 0
            never leaves.
        ready: A descriptor to say on that requests are answered now.
    """
    paths = paths or Paths.from_environment()
    try:
        paths.make()
        with _only_engine(paths):
            # The event loop and HTTP are imported only by the one engine that will serve.
            asyncio.run(_serve(socket or paths.socket, paths, idle_seconds, ready))
    except (AlreadyRunningError, OSError) as error:
        print(f"cellcrate: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(socket: Path, paths: Paths, idle_seconds: float, ready: int | None) -> None:
    from cellcrate_runtime.engine.api.app import make_app
    from cellcrate_runtime.engine.api.server import PrivateServer, listen
    from cellcrate_runtime.engine.core import Engine

    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.set)
    engine = Engine(paths, leaving.set, idle_seconds)
    listener = listen(socket)
    try:
        await engine.start()
        server = PrivateServer(make_app(engine))
        server.serve(listener)
        # What has been imported stays: keep the collector from walking, and so unsharing, it.
        gc.collect()
        gc.freeze()
        if ready is not None:
            os.write(ready, READY)
            os.close(ready)
        _log.info("serving on %s", socket)
        engine.idle.look()
        await leaving.wait()
        _log.info("leaving")
        loop.remove_reader(listener)
        await server.close_all_connections()
    finally:
        # Unlinked before it is closed: nobody gets to connect to a socket that nobody serves.
        socket.unlink(missing_ok=True)
        listener.close()
        await engine.close()


@contextlib.contextmanager
def _only_engine(paths: Paths) -> Iterator[None]:
    """Hold the lock that makes this the only engine of its home.

    Raises:
        AlreadyRunningError: Another engine has it and goes on serving.
    """
    with open(paths.data / "engine.lock", "a+") as lock:
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _try_lock(lock):
            if is_answering(paths.socket) or time.monotonic() > deadline:
                raise AlreadyRunningError(
                    f"an engine (process {engine_pid(paths.socket) or _holder(lock)}) already "
                    f"keeps its state in {paths.data}. Use it, stop it with "
                    "`cellcrate engine stop`, or set CELLCRATE_HOME to another folder."
                )
            time.sleep(0.05)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _try_lock(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: TextIO) -> str:
    lock.seek(0)
    return lock.read().strip() or "unknown"


def main(arguments: list[str] | None = None) -> int:
    """Run an engine in the background, as :mod:`cellcrate_runtime.activation` asks for it."""
    parser = argparse.ArgumentParser(prog="python -m cellcrate_runtime.engine.main")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--ready", type=int, required=True)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    options = parser.parse_args(arguments)
    # The parent leaves, so that the engine is nobody's child and nobody has to reap it.
    if os.fork():
        os._exit(0)
    os.set_inheritable(options.ready, False)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    paths = Paths(data=options.data, run=options.run)
    return run(paths=paths, idle_seconds=options.idle_seconds, ready=options.ready)


if __name__ == "__main__":
    raise SystemExit(main())
