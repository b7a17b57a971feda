"""What a shim needs of a process that runs for it, whichever runtime has made it."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Process"]


class Process(Protocol):
    """The first process of a container, or one more in it.

    Attributes:
        pid: Its process id as the shim sees it; the shim is its parent and reaps it.
        pidfd: A descriptor for it, readable once it has ended.
        console: The master side of its terminal, until somebody takes it over.
    """

    pid: int
    pidfd: int
    console: int | None

    def start(self) -> None:
        """Let it execute its program.

        Raises:
            OCIError: The program cannot be executed; the process is gone.
        """

    def abort(self) -> None:
        """Kill it before its start, reap it and close what belongs to it. Idempotent."""
