"""What a command of the runtime's command line refuses, or fails at."""

from __future__ import annotations

__all__ = ["CommandError", "NotFoundError", "UsageError"]


class CommandError(Exception):
    """A command could not be carried out; ``status`` is what the program leaves with."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(CommandError):
    """There is no container of this name. Callers know the words, which are runc's."""

    def __init__(self) -> None:
        super().__init__("container does not exist")


class UsageError(CommandError):
    """The command line itself makes no sense."""
