"""Which device nodes may be made, read and written.

cgroup v2 has no files for this: a BPF program that is attached to the group is asked each time.

Source: Documentation/admin-guide/cgroup-v2.rst of the kernel, section "Device controller";
linux/bpf.h (struct bpf_cgroup_dev_ctx) and Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import errno
import os
import struct

from cellcrate_runtime.linux import recording

from ..conversions import each_kind
from ..resources import DeviceRule, Resources
from ..stats import CgroupStats
from . import bpf

__all__ = ["apply", "program", "read"]

# What is asked: BPF_DEVCG_DEV_* in the low half of the first word, BPF_DEVCG_ACC_* in the high.
_TYPES = {"b": 1, "c": 2, "u": 2}
_ACCESSES = {"m": 1, "r": 2, "w": 4}
_ALL = 7

# Registers: r1 comes as the address of the question, and is scratch after it has been read.
_ANSWER, _SCRATCH, _TYPE, _ACCESS, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5

# Instructions
_LOAD_WORD = 0x61  # dst = *(u32 *)(src + offset)
_AND = 0x54  # 32 bits, with a constant
_SHIFT_RIGHT = 0x74  # 32 bits, by a constant
_COPY = 0xBC  # 32 bits
_SET = 0xB7
_JUMP_UNLESS = 0x55  # if dst != constant
_JUMP_UNLESS_SAME = 0x5D  # if dst != src
_JUMP_IF = 0x15  # if dst == constant
_EXIT = 0x95


def apply(directory: str, resources: Resources) -> None:
    """Attach a program that knows the rules.

    Only root may do this, outside of user namespaces. For everybody else it is left out: who is
    not root there cannot make device nodes, so that a container has those that it was given.
    """
    if not resources.devices:
        return
    try:
        descriptor = bpf.load(program(resources.devices))
    except OSError as error:
        if error.errno == errno.EPERM:
            return
        raise
    try:
        bpf.attach(descriptor, directory)
        if recording.active is not None:
            recording.active.note("bpf", target=directory)
    finally:
        os.close(descriptor)


def read(directory: str, stats: CgroupStats) -> None:
    """Add nothing: there is nothing to count."""


def program(rules: list[DeviceRule]) -> bytes:
    """Return the instructions that answer 1 (allowed) or 0.

    The last rule that fits decides, so the program looks at the rules from the last to the first;
    without any that fits the answer is no.
    """
    code = [
        _instruction(_LOAD_WORD, _TYPE, _SCRATCH, offset=0),
        _instruction(_COPY, _ACCESS, _TYPE),
        _instruction(_AND, _TYPE, constant=0xFFFF),
        _instruction(_SHIFT_RIGHT, _ACCESS, constant=16),
        _instruction(_LOAD_WORD, _MAJOR, _SCRATCH, offset=4),
        _instruction(_LOAD_WORD, _MINOR, _SCRATCH, offset=8),
    ]
    for rule in reversed(_merged(list(each_kind(rules)))):
        code += _rule(rule)
        if rule.type in (None, "", "a"):
            return b"".join(code)  # it fits everything, so nothing after it is reached
    code += _answer(allow=False)
    return b"".join(code)


def _merged(rules: list[DeviceRule]) -> list[DeviceRule]:
    """Join neighbours about the same device, so that "r" and "w" together allow "rw"."""
    merged: list[DeviceRule] = []
    for rule in rules:
        last = merged[-1] if merged else None
        if last is not None and _about(last) == _about(rule) and rule.type not in (None, "", "a"):
            rule = DeviceRule(
                allow=rule.allow,
                type=rule.type,
                major=rule.major,
                minor=rule.minor,
                access=(last.access or "rwm") + (rule.access or "rwm"),
            )
            merged.pop()
        merged.append(rule)
    return merged


def _about(rule: DeviceRule) -> tuple[object, ...]:
    return (rule.allow, rule.type, rule.major, rule.minor)


def _rule(rule: DeviceRule) -> list[bytes]:
    """Return a section that answers if the rule fits, and otherwise runs on past its end."""
    tests: list[tuple[int, int, int, int]] = []  # opcode, two registers, constant
    if rule.type not in (None, "", "a"):
        tests.append((_JUMP_UNLESS, _TYPE, 0, _TYPES[str(rule.type)]))
        if rule.major is not None and rule.major >= 0:
            tests.append((_JUMP_UNLESS, _MAJOR, 0, rule.major))
        if rule.minor is not None and rule.minor >= 0:
            tests.append((_JUMP_UNLESS, _MINOR, 0, rule.minor))
        accesses = sum({_ACCESSES[letter] for letter in rule.access or "rwm"})
        if accesses != _ALL:
            tests += [(_COPY, _SCRATCH, _ACCESS, 0), (_AND, _SCRATCH, 0, accesses)]
            if rule.allow:  # all that is asked for has to be allowed
                tests.append((_JUMP_UNLESS_SAME, _SCRATCH, _ACCESS, 0))
            else:  # anything that is asked for is denied
                tests.append((_JUMP_IF, _SCRATCH, 0, 0))
    section = []
    for number, (opcode, first, second, constant) in enumerate(tests):
        is_jump = opcode in (_JUMP_UNLESS, _JUMP_UNLESS_SAME, _JUMP_IF)
        to_the_end = len(tests) - number - 1 + 2
        offset = to_the_end if is_jump else 0
        section.append(_instruction(opcode, first, second, offset, constant))
    return section + _answer(rule.allow)


def _answer(allow: bool) -> list[bytes]:
    return [_instruction(_SET, _ANSWER, constant=int(allow)), _instruction(_EXIT)]


def _instruction(
    opcode: int, destination: int = 0, source: int = 0, offset: int = 0, constant: int = 0
) -> bytes:
    """Return a ``struct bpf_insn``."""
    return struct.pack("=BBhi", opcode, source << 4 | destination, offset, constant)
