"""What can go wrong with a control group, said so that a person knows what to do."""

from __future__ import annotations

import errno

__all__ = [
    "CgroupBusyError",
    "CgroupError",
    "CgroupNotFoundError",
    "ControllerUnavailableError",
    "LimitRefusedError",
    "refusal",
]


class CgroupError(Exception):
    """A control group could not be made, changed, read or removed."""


class ControllerUnavailableError(CgroupError):
    """A limit was asked for whose controller this machine, or this user, does not have.

    ``controller`` is the kernel's name (``memory``), ``reason`` says why it is missing and
    ``remedy`` what to do about it; the message has all three.
    """

    def __init__(self, controller: str, reason: str, remedy: str) -> None:
        super().__init__(f"No {controller} limit can be set: {reason} {remedy}".rstrip())
        self.controller = controller
        self.reason = reason
        self.remedy = remedy


class LimitRefusedError(CgroupError):
    """The kernel refused a value; ``file`` and ``value`` are what was written."""

    def __init__(self, file: str, value: str, reason: str) -> None:
        super().__init__(f"The kernel refused {value!r} for {file}: {reason}")
        self.file = file
        self.value = value
        self.reason = reason


class CgroupNotFoundError(CgroupError):
    """There is no control group of this path; it was never made, or it is gone."""


class CgroupBusyError(CgroupError):
    """A control group has processes that did not leave in time."""


def refusal(error: OSError, directory: str) -> LimitRefusedError:
    """Turn the kernel's answer to a write into words."""
    reason = {
        errno.EINVAL: "it is out of range, or contradicts another limit.",
        errno.ERANGE: "it is out of range.",
        errno.EBUSY: "the group uses more than that now.",
        errno.ENODEV: "there is no such device.",
        errno.ENOSPC: "the group above has less than that.",
        errno.EACCES: "the group above does not have that, or you may not.",
        errno.EPERM: "you may not.",
        errno.ENOENT: "this kernel does not count or limit that.",
        errno.EOPNOTSUPP: "this kernel does not have it.",
    }.get(error.errno or 0, f"{error.strerror}.")
    file = error.filename or directory
    return LimitRefusedError(str(file), str(error.filename2 or ""), reason)
