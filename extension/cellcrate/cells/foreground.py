"""A cell waits for its container: streams it, stops it on demand, and tells how it ended."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from cellcrate.cells.creation import create, remove
from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.link import Link
from cellcrate.cells.log import show_log
from cellcrate.cells.pump import pump, react
from cellcrate.cells.request import TERMINAL, Request
from cellcrate.cells.stopping import Stopper
from cellcrate.cells.streams import Connection, Printer
from cellcrate.cells.verdict import judge, look_back, missing_program
from cellcrate.connection import Engine
from cellcrate.errors import ContainerInterrupted, EngineError, Outcome
from cellcrate.explain import is_timeout

__all__ = ["run_in_cell", "start_in_background"]

#: From this version on ContainerCreate takes the size of the terminal (ConsoleSize).
CONSOLE_SIZE_VERSION = (1, 42)


def run_in_cell(engine: Engine, request: Request) -> Outcome:
    """Run a container to its end and return how it ended.

    Raises:
        ContainerInterrupted: The stop button was pressed.
        EngineError: The engine refuses, or goes away for good.
        ContainerFailed: The exit status is not 0, and ``request.raise_error`` holds.
    """
    if engine.embedded:
        request.tie_to_this_process()
    link = Link(engine)
    with Interrupts() as interrupts:
        container = create(link, request, interrupts)
        try:
            outcome = _Cell(link, request, container, interrupts).run()
        finally:
            if request.trace:
                from cellcrate.traces import show

                show(link, container)
            if request.remove:
                remove(link, container)
    if interrupts.count:
        raise ContainerInterrupted(_interrupted(outcome, request))
    judge(outcome, raise_error=request.raise_error)
    return outcome


def _interrupted(outcome: Outcome, request: Request) -> str:
    after = "was removed" if request.remove else f"is kept as {outcome.name}"
    return f"The container was stopped (exit status {outcome.status}) and {after}."


def start_in_background(engine: Engine, request: Request) -> str:
    """Create and start a container; return its id. A container that cannot start is removed.

    Raises:
        EngineError: The engine refuses.
    """
    link = Link(engine)
    with Interrupts() as interrupts:
        container = create(link, request, interrupts)
        try:
            link.ask(lambda api: api.start(container))
        except BaseException:
            remove(link, container)
            raise
    return container


class _Cell:
    """One container on its way from its start to its end."""

    def __init__(
        self, link: Link, request: Request, container: str, interrupts: Interrupts
    ) -> None:
        self.link = link
        self.request = request
        self.container = container
        self.interrupts = interrupts
        self.stopper = Stopper(link, container, request.stop_timeout)
        self.printer = Printer(tty=request.tty)

    def run(self) -> Outcome:
        try:
            attached = self.link.ask(self._attaching(self._streams()))
        except EngineError as error:
            # Podman prepares the process when somebody attaches to it.
            return self._never_ran(error)
        try:
            try:
                self.link.ask(lambda api: api.start(self.container))
            except EngineError as error:
                return self._never_ran(error)
            self._set_up(attached)
            self._stream(attached)
            status = self._wait()
        finally:
            attached.close()
            self.printer.finish()
        return look_back(self.link, self.request, self.container, status)

    def _streams(self) -> dict[str, int]:
        wanted = {"stream": 1, "stdout": 1, "stderr": 1}
        return wanted if self.request.stdin is None else {**wanted, "stdin": 1}

    def _attaching(self, wanted: dict[str, int]) -> Callable[[Any], Connection]:
        return lambda api: Connection(api.attach_socket(self.container, wanted))

    def _never_ran(self, error: EngineError) -> Outcome:
        """Return how a container ended whose program could not be run; raise other errors."""
        status = missing_program(error)
        if status is None:
            raise error
        print(error, file=sys.stderr)
        return Outcome(status=status, name=self.request.name)

    def _set_up(self, attached: Connection) -> None:
        if self.request.stdin is not None:
            attached.send_all(self.request.stdin)
        if self.request.tty and _version(self.link.engine.api) < CONSOLE_SIZE_VERSION:
            # It may have ended already.
            with contextlib.suppress(EngineError):
                self.link.ask(lambda api: api.resize(self.container, *TERMINAL))

    def _stream(self, attached: Connection, **options: Any) -> None:
        tty = self.request.tty
        try:
            pump(attached, self.printer, self.interrupts, self.stopper, tty=tty, **options)
        except OSError:
            self.link.recover()

    def _resume(self) -> None:
        """Attach again after the engine came back: to the log, and to what follows.

        A container may end between the question whether it runs and the attachment, which would
        then wait for its next start: so the question is asked again while nothing comes.
        """
        while self._is_running():
            wanted = {"logs": 1, "stdout": 1, "stderr": 1, "stream": 1}
            again = self.link.ask(self._attaching(wanted))
            try:
                seen = dict(self.printer.shown)
                self._stream(again, seen=seen, goes_on=self._is_running)
                if again.ended:
                    return
            finally:
                again.close()
        # Not every engine lets anybody attach to a container that has ended.
        tty = self.request.tty
        self.link.ask(lambda api: show_log(api, self.container, {}, tty=tty, printer=self.printer))

    def _is_running(self) -> bool:
        details = self.link.ask(lambda api: api.inspect_container(self.container))
        return bool(details["State"]["Running"])

    def _wait(self) -> int:
        """Wait for the end, which may come long after the last output."""
        caught_up = 0
        while True:
            if self.link.recoveries != caught_up:
                # The connection may have lost output when the engine died.
                caught_up = self.link.recoveries
                self._resume()
            try:
                with self.interrupts.raising():
                    status = self.link.ask(self._wait_once)
            except KeyboardInterrupt:
                status = None
            if status is not None and self.link.recoveries == caught_up:
                return status
            react(self.interrupts, self.stopper)

    def _wait_once(self, api: Any) -> int | None:
        try:
            return int(api.wait(self.container, timeout=self.stopper.time_left)["StatusCode"])
        except Exception as error:
            if is_timeout(error):
                return None
            raise


def _version(api: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in str(api.api_version).split("."))


def follow(link: Link, container: str) -> None:
    """Show what a container writes from now on; the stop button leaves it running.

    Raises:
        EngineError: There is no such container, or it does not run.
    """
    details = link.ask(lambda api: api.inspect_container(container))
    if not details["State"]["Running"]:
        raise EngineError(f"{container} does not run. %container logs shows what it has written.")
    wanted = {"stream": 1, "stdout": 1, "stderr": 1}
    attached = link.ask(lambda api: Connection(api.attach_socket(container, wanted)))
    tty = bool(details["Config"]["Tty"])
    printer = Printer(tty=tty)
    with Interrupts() as interrupts:
        try:
            pump(attached, printer, interrupts, _Leave(attached), tty=tty)
        except OSError:
            link.recover()
        finally:
            attached.close()
            printer.finish()


class _Leave:
    """A press of the stop button ends the watching, and not what is watched."""

    time_left = None

    def __init__(self, attached: Connection) -> None:
        self._attached = attached

    def press(self) -> None:
        self._attached.ended = True

    def insist(self) -> None:
        pass
