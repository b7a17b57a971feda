"""Refusing what is newer than a filter with ENOSYS, "no such call", rather than EPERM.

Programs try a new system call and fall back to an older one on ENOSYS; on EPERM they give up.
A filter that was written before the call existed refuses it with its default action, which is
usually EPERM. So a few instructions go in front of it: a number above all that the filter knows
gets ENOSYS. runc does the same (libcontainer/seccomp/patchbpf); the instructions here are laid out
in another way.
"""

from __future__ import annotations

import errno

from .instructions import (
    ARCHITECTURE,
    JUMP,
    JUMP_ANY_BIT,
    JUMP_EQUAL,
    JUMP_GREATER,
    LOAD,
    NUMBER,
    RETURN,
    X32_BIT,
    X86_64,
    Instruction,
)

__all__ = ["prelude"]

_RETURN_ENOSYS = Instruction(RETURN, 0x00050000 | errno.ENOSYS)

_NEVER = 0xFFFFFFFF  # no number is greater


def prelude(newest: dict[int, int], newest_x32: int | None) -> list[Instruction]:
    """Return instructions to go in front of a filter.

    ``newest`` has, for the number of each architecture (AUDIT_ARCH_*), the highest number of a
    call that the filter knows; ``newest_x32`` has that of x32, where the filter covers x32.
    """
    sections = []
    for architecture, last in newest.items():
        if architecture == X86_64:
            sections.append(_x86_section(last, newest_x32 or _NEVER))
        else:
            sections.append(_section(architecture, last))
    # Every section ends in a jump to the filter, past the sections that follow it.
    left = sum(len(section) + 1 for section in sections)
    program = [Instruction(LOAD, ARCHITECTURE)]
    for section in sections:
        left -= len(section) + 1
        program += [*section, Instruction(JUMP, left)]
    return program


def _section(architecture: int, last: int) -> list[Instruction]:
    return [
        Instruction(JUMP_EQUAL, architecture, 0, 4),
        Instruction(LOAD, NUMBER),
        Instruction(JUMP_GREATER, last, 0, 1),
        _RETURN_ENOSYS,
    ]


def _x86_section(last: int, last_x32: int) -> list[Instruction]:
    return [
        Instruction(JUMP_EQUAL, X86_64, 0, 6),
        Instruction(LOAD, NUMBER),
        Instruction(JUMP_ANY_BIT, X32_BIT, 0, 1),
        Instruction(JUMP_GREATER, last_x32, 1, 2),
        Instruction(JUMP_GREATER, last, 0, 1),
        _RETURN_ENOSYS,
    ]
