"""What can go wrong between a configuration and a running process."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # as typing has it, whose import takes longer than some commands
    from typing import Literal

    ErrorKind = Literal["invalid", "not_found", "permission", "system"]
    """``invalid``: the configuration cannot be; ``not_found``: a program, user or file is missing;
    ``permission``: the kernel, or the file's mode, does not allow it; ``system``: all else."""

__all__ = ["OCIError", "StartError", "UserNotFoundError"]


class OCIError(Exception):
    """A container or a process in it could not be made; nothing of it remains.

    Attributes:
        message: What was being done and why it failed, for people.
        kind: What sort of failure it is, for programs.
        errno: The kernel's error number, or 0 where there is none.
    """

    def __init__(self, message: str, kind: ErrorKind = "system", errno: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.kind: ErrorKind = kind
        self.errno = errno

    @classmethod
    def from_os_error(cls, error: OSError, doing: str) -> OCIError:
        """The same failure, with what was being done in front of the kernel's words."""
        return cls(f"{doing}: {describe(error)}", kind_of(error), error.errno or 0)


class StartError(OCIError):
    """The program itself could not be executed: it is missing, or not executable."""


class UserNotFoundError(OCIError):
    """A user or group that the container's ``/etc/passwd`` or ``/etc/group`` does not have."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "not_found")


def kind_of(error: OSError) -> ErrorKind:
    """The sort of failure that an error of the operating system is."""
    if isinstance(error, FileNotFoundError):
        return "not_found"
    if isinstance(error, PermissionError):
        return "permission"
    return "system"


def describe(error: OSError) -> str:
    """The kernel's words for an error, in lower case as Docker writes them, with the file."""
    if error.errno is None:
        return str(error)
    words = error.strerror or os.strerror(error.errno)
    words = words[:1].lower() + words[1:]
    return f"{error.filename!s}: {words}" if error.filename else words
