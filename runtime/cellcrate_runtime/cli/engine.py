"""``cellcrate engine``: run, look at and stop the engine."""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import sys
import time
from pathlib import Path

from cellcrate_runtime.activation import engine_pid
from cellcrate_runtime.cli.api import EngineUnreachableError, get
from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.cli.words import duration
from cellcrate_runtime.paths import Paths

__all__ = ["run", "status", "stop"]

# systemctl(1), "EXIT STATUS": a unit that is not active.
NOT_RUNNING = 3


def run(options: argparse.Namespace) -> int:
    """Serve in the foreground."""
    from cellcrate_runtime.engine.main import run as serve

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    socket = Path(options.socket).absolute() if options.socket else None
    return serve(socket, idle_seconds=options.idle)


def status(options: argparse.Namespace) -> int:
    """Say whether the engine runs, and since when."""
    socket = Paths.from_environment().socket
    try:
        version = get(socket, "/version")
        running = len(get(socket, "/containers/json"))
        total = len(get(socket, "/containers/json?all=1"))
    except EngineUnreachableError:
        if options.json:
            print(json.dumps({"running": False, "socket": str(socket)}))
        else:
            print(f"The engine is not running (nobody answers on {socket}).")
            print("Whatever needs it starts it; so does `cellcrate env`.")
        return NOT_RUNNING
    pid = engine_pid(socket)
    seconds = _running_for(pid)
    facts = {
        "running": True,
        "socket": str(socket),
        "pid": pid,
        "version": version["Version"],
        "apiVersion": version["ApiVersion"],
        "seconds": seconds,
        "containersRunning": running,
        "containers": total,
    }
    if options.json:
        print(json.dumps(facts))
        return 0
    print(f"socket      {socket}")
    print(f"process     {pid or 'of another process namespace'}")
    print(f"version     {version['Version']} (API {version['ApiVersion']})")
    if seconds is not None:
        print(f"running for {duration(seconds)}")
    print(f"containers  {running} running, {total} in all")
    return 0


def stop(options: argparse.Namespace) -> int:
    """Ask the engine to leave, and wait until it has."""
    socket = Paths.from_environment().socket
    pid = engine_pid(socket)
    if pid is None:
        print("The engine is not running.")
        return 0
    try:
        # A descriptor of the process, so that the signal cannot hit another one of the same id.
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        raise CommandError(
            f"the engine on {socket} cannot be reached as process {pid} from here: "
            f"{error.strerror}. Stop it where it was started."
        ) from error
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(options.timeout * 1000):
            raise CommandError(
                f"the engine (process {pid}) has not left within {options.timeout:g} seconds. "
                f"Its containers live without it, so it may be ended with: kill -9 {pid}"
            )
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise CommandError(f"the engine (process {pid}) is not yours to stop.") from error
    finally:
        os.close(descriptor)
    print("The engine has left. Its containers go on, and are found again by the next engine.")
    return 0


def _running_for(pid: int | None) -> float | None:
    """Seconds since a process started, from field 22 of /proc/PID/stat; see proc(5)."""
    try:
        content = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses, and may hold anything.
    ticks = int(content.rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
