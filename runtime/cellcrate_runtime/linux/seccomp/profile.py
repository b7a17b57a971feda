"""A seccomp filter, in the words of the OCI runtime specification.

Source: OCI runtime-spec 1.3, config-linux.md, section "Seccomp".
"""

from __future__ import annotations

import msgspec

__all__ = ["Argument", "Seccomp", "Syscall"]


class _Document(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A JSON object with camelCase member names."""


class Argument(_Document):
    """A comparison with one argument of a system call, such as ``SCMP_CMP_EQ``."""

    index: int
    op: str
    value: int
    value_two: int = 0


class Syscall(_Document):
    """What to do when one of these system calls is made with these arguments."""

    names: list[str]
    action: str
    errno_ret: int | None = None
    args: list[Argument] = []


class Seccomp(_Document):
    """A whole filter: what to do by default, and the exceptions from it."""

    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[Syscall] = []
