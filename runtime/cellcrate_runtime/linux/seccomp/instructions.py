"""The instructions of seccomp filters: classic BPF, as far as filters use it.

Source: Documentation/networking/filter.rst and linux/bpf_common.h of the kernel; seccomp(2) for
``struct seccomp_data``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "ARCHITECTURE",
    "JUMP",
    "JUMP_ANY_BIT",
    "JUMP_EQUAL",
    "JUMP_GREATER",
    "JUMP_GREATER_EQUAL",
    "LOAD",
    "NUMBER",
    "RETURN",
    "X32_BIT",
    "X86_64",
    "Instruction",
    "decode",
    "encode",
]

LOAD = 0x20
"""Load the 32-bit word at an offset of ``struct seccomp_data``."""
JUMP = 0x05
JUMP_EQUAL = 0x15
JUMP_GREATER = 0x25
JUMP_GREATER_EQUAL = 0x35
JUMP_ANY_BIT = 0x45
RETURN = 0x06

NUMBER = 0
"""The offset of the system call's number."""
ARCHITECTURE = 4
"""The offset of the architecture (AUDIT_ARCH_*)."""

X86_64 = 0xC000003E
"""AUDIT_ARCH_X86_64, of x86-64 and x32 alike."""
X32_BIT = 0x40000000
"""Set in the number of every x32 call."""

_FORMAT = struct.Struct("=HBBI")


class Instruction(NamedTuple):
    """``struct sock_filter``; jumps count the instructions that are skipped."""

    code: int
    value: int
    if_true: int = 0
    if_false: int = 0


def encode(program: list[Instruction]) -> bytes:
    """Return the program as the kernel wants it."""
    return b"".join(_FORMAT.pack(i.code, i.if_true, i.if_false, i.value) for i in program)


def decode(program: bytes) -> list[Instruction]:
    """Read what :func:`encode` or libseccomp wrote."""
    return [
        Instruction(code, value, if_true, if_false)
        for code, if_true, if_false, value in _FORMAT.iter_unpack(program)
    ]
