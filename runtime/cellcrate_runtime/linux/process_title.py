"""What ``ps`` shows of a process that goes on as something else than what was executed."""

from __future__ import annotations

import ctypes
import functools

import msgspec

from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["TitleArea", "set_name", "set_title", "title_area"]

_PR_SET_NAME = 15  # linux/prctl.h
_AFTER_NAME = 2  # fields of /proc/<pid>/stat before the first after the name
_ARG_START, _ENV_END = 48, 51  # fields, counted from 1: proc(5)

_prctl = SystemCall("prctl", ctypes.c_ulong, ctypes.c_char_p)


class TitleArea(msgspec.Struct, frozen=True):
    """Where in its memory a process has its arguments and, right after them, its environment."""

    start: int
    end: int


@functools.cache
def title_area() -> TitleArea:
    """The area of this process, and of those that are forked from it."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    numbers = [int(fields[field - _AFTER_NAME - 1]) for field in (_ARG_START, _ENV_END)]
    return TitleArea(*numbers)


def set_name(name: str) -> None:
    """Show this name, of 15 bytes at most, where ``ps`` and ``top`` show no arguments."""
    _prctl(_PR_SET_NAME, name.encode())


def set_title(area: TitleArea, title: str) -> None:
    """Show ``title`` instead of the arguments, and nothing instead of the environment."""
    set_name(title.split()[0])
    encoded = title.encode()[: area.end - area.start - 1]
    ctypes.memset(area.start, 0, area.end - area.start)
    ctypes.memmove(area.start, encoded, len(encoded))
