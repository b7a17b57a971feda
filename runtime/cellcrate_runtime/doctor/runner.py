"""Running probes, each in a process of its own, so that none leaves anything or brings us down."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from .report import Finding, State

__all__ = ["Lacking", "Probe", "run"]

_TIMEOUT = 5.0


class Lacking(Exception):
    """What a probe raises when the thing works in part (``limited``) or not at all."""

    def __init__(self, state: State, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to try."""

    name: str
    gives: str
    """What it is good for, said when it works."""
    without: str
    """What does not work without it."""
    attempt: Callable[[], str]
    """Tries it, in a process of its own, and returns what it saw.

    Raises Lacking, or OSError where the kernel refuses.
    """
    remedy: str = ""
    """The command that mends most cases; an attempt that knows better says so."""
    needed: bool = False

    def finding(self) -> Finding:
        """Try it in this process."""
        try:
            seen = self.attempt()
        except Lacking as lack:
            return self._lacking(lack.state, lack.reason, lack.remedy)
        except OSError as error:
            about = f" ({error.filename})" if error.filename else ""
            return self._lacking("missing", f"The kernel says: {error.strerror}{about}.")
        meaning = f"{self.gives} ({seen})" if seen else self.gives
        return Finding(name=self.name, state="ok", meaning=meaning, needed=self.needed)

    def _lacking(self, state: State, reason: str, remedy: str = "") -> Finding:
        meaning = self.without if state == "missing" else self.gives
        return Finding(
            name=self.name,
            state=state,
            meaning=meaning,
            reason=reason,
            remedy=remedy or self.remedy,
            needed=self.needed,
        )


@dataclass(slots=True)
class _Running:
    probe: Probe
    pid: int
    pipe: int
    answer: bytes = b""


def run(probes: Sequence[Probe], timeout: float = _TIMEOUT) -> list[Finding]:
    """Try everything at once and return the findings in the order of the probes.

    A probe that is not done after ``timeout`` seconds is ended; one that is ended or crashes
    counts as missing.
    """
    sys.stdout.flush()
    running = [_start(probe) for probe in probes]
    deadline = time.monotonic() + timeout
    waiting = {attempt.pipe: attempt for attempt in running}
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        for pipe in ready:
            data = os.read(pipe, 65536)
            waiting[pipe].answer += data
            if not data:
                del waiting[pipe]
    return [_finish(attempt) for attempt in running]


def _start(probe: Probe) -> _Running:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()  # whatever the probe starts ends with its process group
            os.close(reader)
            _be_silent()
            os.write(writer, msgspec.json.encode(probe.finding()))
            status = 0
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(status)
    os.close(writer)
    return _Running(probe, pid, reader)


def _be_silent() -> None:
    """Let helpers such as newuidmap(1) complain to nobody: the finding says it in its own words."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)


def _finish(attempt: _Running) -> Finding:
    os.close(attempt.pipe)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(attempt.pid, signal.SIGKILL)
    _, status = os.waitpid(attempt.pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return msgspec.json.decode(attempt.answer, type=Finding)
    said = attempt.answer.decode(errors="replace").strip()
    reason = f"The probe failed: {said}" if said else "The probe did not end in time or crashed."
    return Finding(
        name=attempt.probe.name,
        state="missing",
        meaning=attempt.probe.without,
        reason=reason,
        remedy=attempt.probe.remedy,
        needed=attempt.probe.needed,
    )
