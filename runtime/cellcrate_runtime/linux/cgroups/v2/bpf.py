"""Loading a BPF program and attaching it to a control group.

Source: bpf(2); linux/bpf.h of the kernel.
"""

from __future__ import annotations

import ctypes
import os

from cellcrate_runtime.linux.syscalls import SystemCall

__all__ = ["attach", "load"]

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_GET_FD_BY_ID = 13
_PROG_QUERY = 16

_TYPE_CGROUP_DEVICE = 15  # BPF_PROG_TYPE_CGROUP_DEVICE
_CGROUP_DEVICE = 6  # BPF_CGROUP_DEVICE
_ALLOW_MULTI = 2  # BPF_F_ALLOW_MULTI: programs of the groups below have a say as well
_REPLACE = 4  # BPF_F_REPLACE

_INSTRUCTION = 8  # the size of struct bpf_insn
_ATTRIBUTES = 128  # room for the largest member of union bpf_attr that is used here

_bpf = SystemCall("bpf", ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)


def load(instructions: bytes) -> int:
    """Have the kernel check a program that decides about devices, and return its descriptor.

    Raises:
        OSError: As bpf(2) says; EPERM without CAP_BPF in the first user namespace.
    """
    code = ctypes.create_string_buffer(instructions, len(instructions))
    # It calls no function that the kernel keeps for programs under the GPL.
    licence = ctypes.create_string_buffer(b"BSD")
    attributes = _Attributes()
    attributes.u32(0, _TYPE_CGROUP_DEVICE)
    attributes.u32(4, len(instructions) // _INSTRUCTION)
    attributes.u64(8, ctypes.addressof(code))
    attributes.u64(16, ctypes.addressof(licence))
    return attributes.call(_PROG_LOAD)


def attach(program: int, directory: str) -> None:
    """Let a program decide for the group of a directory, instead of the one it had.

    Raises:
        OSError: As bpf(2) says.
    """
    group = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attributes = _Attributes()
        attributes.u32(0, group)
        attributes.u32(4, program)
        attributes.u32(8, _CGROUP_DEVICE)
        attributes.u32(12, _ALLOW_MULTI)
        old = _attached(group)
        if old is None:
            attributes.call(_PROG_ATTACH)
            return
        try:
            attributes.u32(12, _ALLOW_MULTI | _REPLACE)
            attributes.u32(16, old)
            attributes.call(_PROG_ATTACH)
        finally:
            os.close(old)
    finally:
        os.close(group)


def _attached(group: int) -> int | None:
    """Return a descriptor of the program that is attached to a group itself."""
    numbers = (ctypes.c_uint32 * 8)()
    query = _Attributes()
    query.u32(0, group)
    query.u32(4, _CGROUP_DEVICE)
    query.u64(16, ctypes.addressof(numbers))
    query.u32(24, len(numbers))
    query.call(_PROG_QUERY)
    if query.get_u32(24) == 0:
        return None
    by_id = _Attributes()
    by_id.u32(0, numbers[0])
    return by_id.call(_PROG_GET_FD_BY_ID)


class _Attributes:
    """``union bpf_attr``, filled by offset."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(_ATTRIBUTES)

    def u32(self, offset: int, value: int) -> None:
        ctypes.c_uint32.from_buffer(self._bytes, offset).value = value

    def u64(self, offset: int, value: int) -> None:
        ctypes.c_uint64.from_buffer(self._bytes, offset).value = value

    def get_u32(self, offset: int) -> int:
        return ctypes.c_uint32.from_buffer(self._bytes, offset).value

    def call(self, command: int) -> int:
        return _bpf(command, self._bytes, _ATTRIBUTES, about="bpf")
