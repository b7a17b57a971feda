"""One more command in a container that runs."""

from __future__ import annotations

import contextlib
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.link import Link
from cellcrate.cells.pump import pump
from cellcrate.cells.streams import Connection, Printer
from cellcrate.errors import ContainerFailed, ContainerInterrupted, EngineUnreachable, Outcome

__all__ = ["Execution", "execute"]

#: A variable of the command's environment, by which the stop button finds its processes.
MARK = "CELLCRATE_EXEC"

#: Sends a signal to every process whose environment holds a mark. The API can start a command in a
#: container but not stop it, and its processes' ids are known in there alone.
FIND_AND_SIGNAL = (
    'for p in /proc/[0-9]*; do grep -qs "$0" "$p/environ" && kill -s "$1" "${p#/proc/}"; done; :'
)

#: How long the engine may take to note the end, after the streams have ended, in seconds.
SETTLING = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """A command to be run: the fields of ContainerExec in the Docker Engine API."""

    container: str
    command: Sequence[str]
    tty: bool = False
    user: str = ""
    workdir: str | None = None
    environment: Sequence[str] = ()
    privileged: bool = False
    detach: bool = False
    raise_error: bool = True


def execute(link: Link, execution: Execution) -> Outcome | None:
    """Run a command; return how it ended, or None where nobody waits for that.

    Raises:
        ContainerInterrupted: The stop button was pressed; the command was sent a signal.
        ContainerFailed: Its exit status is not 0, and ``raise_error`` holds.
        EngineError: The engine refuses.
    """
    mark = f"{MARK}={secrets.token_hex(8)}"
    exec_id = link.ask(lambda api: _create(api, execution, mark))
    if execution.detach:
        link.ask(lambda api: api.exec_start(exec_id, detach=True, tty=execution.tty))
        return None
    with Interrupts() as interrupts:
        _stream(link, execution, exec_id, mark, interrupts)
        outcome = Outcome(status=_status(link, exec_id), name=execution.container)
    if interrupts.count:
        raise ContainerInterrupted(f"The command was stopped (exit status {outcome.status}).")
    if execution.raise_error and not outcome.ok:
        raise ContainerFailed(f"The command ended with exit status {outcome.status}.", outcome)
    return outcome


def _create(api: Any, execution: Execution, mark: str) -> str:
    created = api.exec_create(
        execution.container,
        list(execution.command),
        tty=execution.tty,
        privileged=execution.privileged,
        user=execution.user,
        environment=[*execution.environment, mark],
        workdir=execution.workdir,
    )
    exec_id: str = created["Id"]
    return exec_id


def _stream(
    link: Link, execution: Execution, exec_id: str, mark: str, interrupts: Interrupts
) -> None:
    printer = Printer(tty=execution.tty)
    attached = link.ask(
        lambda api: Connection(api.exec_start(exec_id, tty=execution.tty, socket=True))
    )
    try:
        pump(attached, printer, interrupts, _Stopper(link, execution, mark), tty=execution.tty)
    except OSError:
        raise EngineUnreachable(
            "The connection to the command was lost. It may still run: %container top shows it."
        ) from None
    finally:
        attached.close()
        printer.finish()


def _status(link: Link, exec_id: str) -> int:
    deadline = time.monotonic() + SETTLING
    while True:
        details = link.ask(lambda api: api.exec_inspect(exec_id))
        status = details.get("ExitCode")
        if not details.get("Running") and status is not None:
            return int(status)
        if time.monotonic() > deadline:
            print("(The command closed its output and goes on.)", file=sys.stderr)
            return 0
        time.sleep(0.02)


class _Stopper:
    """Sends a signal to the command's processes, by a second command that looks for them."""

    time_left = None

    def __init__(self, link: Link, execution: Execution, mark: str) -> None:
        self._link = link
        self._execution = execution
        self._mark = mark
        self._presses = 0

    def press(self) -> None:
        self._presses += 1
        signal = "INT" if self._presses == 1 else "KILL"
        with contextlib.suppress(Exception):
            self._link.ask(lambda api: self._signal(api, signal))

    def insist(self) -> None:
        pass

    def _signal(self, api: Any, signal: str) -> None:
        command = ["sh", "-c", FIND_AND_SIGNAL, self._mark, signal]
        created = api.exec_create(self._execution.container, command, user=self._execution.user)
        api.exec_start(created["Id"])
