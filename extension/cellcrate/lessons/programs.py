"""The lesson's programs as ordinary processes: the traditional way to deploy."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.reports import Report, parse
from cellcrate.lessons.words import say

__all__ = ["PROGRAMS", "Process", "free_port", "process", "scratch_folder", "stop_processes"]

PROGRAMS = Path(__file__).parent / "workloads"
"""The folder with bank.py and game.py."""

SECONDS_TO_START = 20
SECONDS_TO_STOP = 5

_started: dict[str, Process] = {}
_scratch: list[Path] = []


def scratch_folder() -> Path:
    """The folder in which this kernel's processes run; made on first use."""
    if not _scratch or not _scratch[0].is_dir():
        _scratch[:] = [Path(tempfile.mkdtemp(prefix="cellcrate-lesson-"))]
    return _scratch[0]


def free_port(prefer: int = 8080) -> int:
    """The preferred port if nothing on this computer has it, else one that is free."""
    for port in (prefer, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise LessonError(say("no_port"))


class Process:
    """One of the lesson's programs, running as an ordinary process of this computer.

    It has a process group of its own, so that the notebook's stop button does not reach it, but
    stays in the notebook's session, where the scheduler treats all processes alike. It ends by
    itself when the kernel dies: writing its next report fails.
    """

    def __init__(self, program: str, arguments: list[str], folder: Path) -> None:
        self.command = shlex.join(["python", program, *arguments])
        self.program = program
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        self._changed = threading.Condition()
        self._reports: list[Report] = []
        self._complaints: list[str] = []
        self._open_streams = 2
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._threads = [
            threading.Thread(target=self._drain, args=(stream, number), daemon=True)
            for number, stream in enumerate((self._process.stdout, self._process.stderr), start=1)
        ]
        for thread in self._threads:
            thread.start()

    def _drain(self, stream: IO[bytes], number: int) -> None:
        """Read a stream to its end, so that the program never waits for its reader."""
        with stream:
            for line in stream:
                report = parse(line) if number == 1 else None
                with self._changed:
                    if report is not None:
                        self._reports.append(report)
                    else:
                        self._complaints.append(line.decode(errors="replace").rstrip())
                    self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        """The process's number on this computer."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the program still runs."""
        return self._process.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    @property
    def complaints(self) -> str:
        """What the program said that is not a report: its errors."""
        with self._changed:
            return "\n".join(self._complaints)

    def wait_until_started(self) -> bool:
        """Wait for the first report; False if the program ended without one."""
        with self._changed:
            return self._changed.wait_for(
                lambda: bool(self._reports) or self._open_streams == 0, SECONDS_TO_START
            ) and bool(self._reports)

    def reports(self) -> Iterator[Report]:
        """The reports from now on, as they come; ends when the program ends."""
        with self._changed:
            seen = len(self._reports)
        while True:
            with self._changed:
                while len(self._reports) <= seen:
                    if self._open_streams == 0:
                        return
                    self._changed.wait(0.5)
                report = self._reports[seen]
            seen += 1
            yield report

    def read(self, name: str) -> bytes:
        """A file in the folder that the program runs in."""
        return (self.folder / name).read_bytes()

    def stop(self) -> None:
        """End the program and the processes that it started."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
        for thread in self._threads:
            thread.join(SECONDS_TO_STOP)
        if _started.get(self.program) is self:
            del _started[self.program]

    def __repr__(self) -> str:
        state = say("running") if self.running else say("ended", status=self.status)
        return f"$ {self.command}\n  {say('process_line', pid=self.pid)}, {state}"


def process(program: str, *arguments: object) -> Process:
    """Start bank.py or game.py as an ordinary process, and show how it went.

    An earlier process of the same program is stopped first, so that a cell can be run again.

    Raises:
        LessonError: there is no such program.
    """
    if not (PROGRAMS / program).is_file():
        known = ", ".join(sorted(file.name for file in PROGRAMS.glob("*.py")))
        raise LessonError(say("no_program", program=program, known=known))
    if program in _started:
        _started[program].stop()
    started = Process(program, [str(argument) for argument in arguments], scratch_folder())
    _started[program] = started
    if not started.wait_until_started():
        _give_up(started)
    print(started)
    if started.complaints:
        print(f"  {started.complaints}")
    return started


def _give_up(started: Process) -> None:
    """Let a program that reported nothing come to its end, and collect its exit status."""
    deadline = time.monotonic() + 1
    while started.running and time.monotonic() < deadline:
        time.sleep(0.02)
    started.stop()


def stop_processes() -> list[str]:
    """Stop every process that this kernel started for the lesson, and remove their folder.

    Returns:
        The commands of those that were still running.
    """
    running = [started for started in _started.values() if started.running]
    for started in list(_started.values()):
        started.stop()
    deadline = time.monotonic() + SECONDS_TO_STOP
    for folder in _scratch:
        shutil.rmtree(folder, ignore_errors=True)
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # a process that was killed may be writing its last file
            shutil.rmtree(folder, ignore_errors=True)
    _scratch.clear()
    return [started.command for started in running]
