"""Errors for people: what happened, why, and what to do next.

IPython asks an exception for ``_render_traceback_`` before it prints one. Errors that are about a
container, and not about Python code, answer with a few plain lines in place of a stack of frames
that a learner did not write.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = [
    "BuildFailed",
    "BuildInterrupted",
    "CellcrateError",
    "ContainerFailed",
    "ContainerInterrupted",
    "EngineError",
    "EngineUnreachable",
    "OutOfMemory",
    "Outcome",
    "UsageError",
]

RED = "\x1b[31m"
RESET = "\x1b[0m"
WIDTH = 88


def _plain(kind: str, message: str) -> list[str]:
    # JupyterLab breaks a long line of an error wherever the cell ends, also inside a word.
    lines = f"{kind}: {message}".splitlines()
    wrapped = "\n".join(textwrap.fill(line, WIDTH, break_long_words=False) for line in lines)
    return [f"{RED}{kind}{RESET}{wrapped[len(kind) :]}"]


class CellcrateError(Exception):
    """The base of every error that Cellcrate's magics raise on purpose."""

    def _render_traceback_(self) -> list[str]:
        return _plain(type(self).__name__, str(self))


class UsageError(CellcrateError):
    """The line of a magic cannot be understood; nothing was created."""


class EngineError(CellcrateError):
    """The engine refused a request, or could not carry it out.

    Attributes:
        status: The HTTP status of the engine's answer; 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class EngineUnreachable(EngineError):
    """No engine answers at the address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a container ended: what ``--no-raise-error`` returns.

    Attributes:
        status: The exit status, as a shell would have it (128 + n for signal n).
        name: The container's name.
        out_of_memory: Whether the kernel killed one of its processes for want of memory.
        memory_limit: The limit on its memory, in bytes; 0 where there is none.
    """

    status: int
    name: str = ""
    out_of_memory: bool = False
    memory_limit: int = 0

    @property
    def ok(self) -> bool:
        """Whether the exit status is 0."""
        return self.status == 0

    def __repr__(self) -> str:
        memory = ", out of memory" if self.out_of_memory else ""
        return f"<exit status {self.status}{memory}>"


class ContainerFailed(CellcrateError):
    """The container's command ended with a status other than 0.

    Attributes:
        outcome: How it ended.
    """

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome

    @property
    def status(self) -> int:
        """The exit status."""
        return self.outcome.status


class OutOfMemory(ContainerFailed):
    """The kernel killed the container's process because it reached its memory limit."""


class ContainerInterrupted(KeyboardInterrupt):
    """The stop button was pressed, and the container was stopped."""

    def _render_traceback_(self) -> list[str]:
        return _plain("KeyboardInterrupt", str(self))


class BuildFailed(CellcrateError):
    """An image could not be built.

    Attributes:
        line: The line of the Dockerfile that it is about, from 1; 0 where that is not known.
        status: The exit status of the command that failed; 0 where none did.
    """

    def __init__(self, message: str, line: int = 0, status: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.status = status


class BuildInterrupted(KeyboardInterrupt):
    """The stop button was pressed, and the build was stopped."""

    def _render_traceback_(self) -> list[str]:
        return _plain("KeyboardInterrupt", str(self))
