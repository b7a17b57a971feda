"""The stock docker command, of each version that this machine has, pointed at an engine."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0  # seconds; nothing here takes more than a few, whatever else the machine does

# What a distribution installs, and what Docker's own packages or an administrator do. One is enough
# to see that the engine does the same for every user.
CLIENTS = [
    pytest.param(path, marks=[pytest.mark.once] if count else [])
    for count, path in enumerate(
        path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)
    )
]


class Terminal:
    """A command that runs on a terminal, as when a person types it."""

    def __init__(self, command: list[str], environment: dict[str, str], rows: int, cols: int):
        self._shown = b""
        self._status: int | None = None
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)

    def expect(self, text: str) -> str:
        """Wait until a text is shown, and return what was shown up to it."""
        wanted = text.encode()
        deadline = time.monotonic() + PATIENCE
        while wanted not in self._shown:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was not shown, but {self._shown.decode()!r}")
        end = self._shown.index(wanted) + len(wanted)
        shown, self._shown = self._shown[:end], self._shown[end:]
        return shown.decode()

    def shows(self, text: str) -> bool:
        """Tell whether a text is shown now, or within a moment."""
        if select.select([self._master], [], [], 0.1)[0]:
            self._read(time.monotonic())
        return text.encode() in self._shown

    def send(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, cols: int) -> None:
        """Change the size of the window, of which the kernel tells the command by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def finish(self) -> tuple[int, str]:
        """Wait until the command ends; return its status and what was shown since."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._wait(deadline), self._shown.decode(errors="replace")

    def close(self) -> None:
        """End the command if it still runs; a second call does nothing."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, deadline: float) -> bool:
        remaining = max(0.0, deadline - time.monotonic())
        if not select.select([self._master], [], [], remaining)[0]:
            raise AssertionError(f"nothing more was shown after {self._shown.decode()!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:  # the other side of a terminal is closed
                raise
            data = b""
        self._shown += data
        return bool(data)

    def _wait(self, deadline: float) -> int:
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise AssertionError("the command does not end")
            else:
                time.sleep(0.01)
        return self._status


class Docker:
    """The docker command.

    Attributes:
        image: What to run containers of.
    """

    image = "cellcrate/base:latest"

    def __init__(self, program: str, socket: Path, config: Path) -> None:
        self.program = program
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(config),
            "DOCKER_CONFIG": str(config),
            "DOCKER_HOST": f"unix://{socket}",
            "TERM": "xterm-256color",
        }
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, input: str | None = None) -> str:
        """Run a command that must succeed; return what it prints, without the last line end."""
        done = self.run(*arguments, input=input)
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done.stdout.removesuffix("\n")

    def run(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def bytes(self, *arguments: str, input: bytes = b"") -> bytes:
        """Run a command that must succeed, with input and output that are no text."""
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=input,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        process = subprocess.Popen(
            [self.program, *arguments],
            env=self.environment,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self._processes.append(process)
        return process

    def terminal(self, *arguments: str, rows: int = 24, cols: int = 80) -> Terminal:
        """Start a command on a terminal of its own."""
        terminal = Terminal([self.program, *arguments], self.environment, rows, cols)
        self._terminals.append(terminal)
        return terminal

    @staticmethod
    def eventually(holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "it never held"
            time.sleep(0.05)

    def close(self) -> None:
        """End what still runs."""
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


@pytest.fixture(params=CLIENTS or [None], ids=lambda path: str(path))
def docker(
    request: pytest.FixtureRequest, engine: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Docker]:
    """Return the docker command for an engine, which removes all containers afterwards."""
    if request.param is None:
        pytest.skip("this machine has no docker command (Debian: docker.io)")
    docker = Docker(request.param, engine.socket, tmp_path_factory.mktemp("docker"))
    yield docker
    docker.close()


@pytest.fixture
def box(docker: Docker) -> Callable[..., str]:
    """Return a function that starts a container which waits to be stopped, and gives its name."""
    names = (f"box{number}" for number in range(100))

    def start(*options: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
        name = next(names)
        docker("run", "-d", "--name", name, "--init", *options, docker.image, *command)
        return name

    return start
