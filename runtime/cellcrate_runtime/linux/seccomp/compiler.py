"""From a profile to the BPF program that the kernel runs at every system call."""

from __future__ import annotations

import errno
import os
from functools import lru_cache

import msgspec

from . import enosys, instructions, kept
from .errors import InvalidProfileError
from .library import ACTIONS, Comparison, Filter, library, resolve, token, version
from .profile import Argument, Seccomp
from .shrink import shrink

__all__ = ["FLAGS", "compile", "flags", "notifies"]

# linux/seccomp.h
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # a container's first process has one thread
    "SECCOMP_FILTER_FLAG_LOG": 1 << 1,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 1 << 2,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 1 << 5,
}
_NEW_LISTENER = 1 << 3

_WITH_NUMBER = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
# What the process that loads a filter calls before anybody can answer for it.
_OF_THE_RUNTIME = ("write", "sendmsg")
_PERMISSIVE = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")

# libseccomp up to 2.5.4 goes wrong with a binary tree and no rules.
_MANY_RULES = 32

_X32 = "SCMP_ARCH_X32"


def compile(profile: Seccomp) -> bytes:
    """Compile a filter; the same profile is compiled once.

    A system call that libseccomp does not know is skipped, as Docker does.

    Raises:
        SeccompUnavailableError: libseccomp is not installed.
        InvalidProfileError: The profile has an unknown action, operator, architecture or flag.
        SeccompError: libseccomp refuses a rule.
    """
    flags(profile)
    # The flags are load()'s business: filters that differ in them alone are compiled once.
    return _compile(msgspec.json.encode(msgspec.structs.replace(profile, flags=[])))


def flags(profile: Seccomp) -> int:
    """Return the flags for :func:`~.loader.load`.

    Raises:
        InvalidProfileError: The profile has an unknown flag.
    """
    value = 0
    for name in profile.flags:
        if name not in FLAGS:
            raise InvalidProfileError(f"{name!r} is not a flag of seccomp.")
        value |= FLAGS[name]
    if any(rule.action == "SCMP_ACT_NOTIFY" for rule in profile.syscalls):
        value |= _NEW_LISTENER
    return value


def notifies(flags: int) -> bool:
    """Whether loading a filter with these flags gives a listener's descriptor."""
    return bool(flags & _NEW_LISTENER)


@lru_cache(maxsize=32)
def _compile(document: bytes) -> bytes:
    """Compile a profile, unless somebody has and kept it; a newer library may know more calls."""
    source = f"{version()} {os.uname().machine} ".encode() + document
    compiled = kept.find(source)
    if compiled is None:
        compiled = _compile_anew(document)
        kept.keep(source, compiled)
    return compiled


def _compile_anew(document: bytes) -> bytes:
    profile = msgspec.json.decode(document, type=Seccomp)
    default = _action(profile.default_action, profile.default_errno_ret)
    if profile.default_action == "SCMP_ACT_NOTIFY":
        raise InvalidProfileError("SCMP_ACT_NOTIFY cannot be the default action.")
    result = Filter(default)
    try:
        result.prepare(binary_tree=sum(len(r.names) for r in profile.syscalls) > _MANY_RULES)
        for architecture in profile.architectures:
            result.add_architecture(token(architecture))
        _add_rules(result, profile, default)
        program = _prelude(profile, default) + instructions.decode(result.export())
    finally:
        result.release()
    numbers = [n for n, name in _architectures(profile).items() if name != _X32]
    return instructions.encode(shrink(program, numbers))


def _action(name: str, number: int | None) -> int:
    """Return an action's code, with the error number (or the tracer's message) in its low half."""
    if name not in ACTIONS:
        raise InvalidProfileError(f"{name!r} is not an action of seccomp.")
    if name not in _WITH_NUMBER:
        if number is not None:
            raise InvalidProfileError(f"{name} takes no error number (errnoRet).")
        return ACTIONS[name]
    return ACTIONS[name] | ((errno.EPERM if number is None else number) & 0xFFFF)


def _add_rules(result: Filter, profile: Seccomp, default: int) -> None:
    native = int(library().seccomp_arch_native())
    for rule in profile.syscalls:
        action = _action(rule.action, rule.errno_ret)
        if not rule.names:
            raise InvalidProfileError("A rule names no system call.")
        if action == default:
            continue  # it says nothing new, and libseccomp does not take it
        alternatives = _alternatives(rule.args)
        for name in rule.names:
            if rule.action == "SCMP_ACT_NOTIFY" and name in _OF_THE_RUNTIME:
                raise InvalidProfileError(
                    f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall: the runtime needs it "
                    "to hand the filter's descriptor over."
                )
            number = resolve(name, native)
            if number is None:
                continue
            for comparisons in alternatives:
                result.add_rule(action, number, comparisons)


def _alternatives(arguments: list[Argument]) -> list[list[Comparison]]:
    """Return the conditions of a rule, as alternatives.

    All conditions of one rule have to hold. Two of them about one argument are the exception:
    libseccomp cannot say that, so each stands alone then. runc does so, and profiles count on it.
    """
    comparisons = [Comparison.of(a.index, a.op, a.value, a.value_two) for a in arguments]
    if len({a.index for a in arguments}) < len(arguments):
        return [[comparison] for comparison in comparisons]
    return [comparisons]


def _architectures(profile: Seccomp) -> dict[int, str]:
    """Return the numbers of the architectures that a profile covers, with their names.

    libseccomp's numbers are AUDIT_ARCH_*, but for x32, which has none: its calls come as x86-64's.
    """
    found = {token(name): name for name in profile.architectures}
    found.setdefault(int(library().seccomp_arch_native()), "")
    return found


def _prelude(profile: Seccomp, default: int) -> list[instructions.Instruction]:
    """Return the instructions that answer ENOSYS to what is newer than the profile."""
    if profile.default_action in _PERMISSIVE or default == _action("SCMP_ACT_ERRNO", errno.ENOSYS):
        return []
    names = [name for rule in profile.syscalls for name in rule.names]
    newest: dict[int, int] = {}
    newest_x32 = None
    for architecture, title in _architectures(profile).items():
        last = max((resolve(name, architecture) or -1 for name in names), default=-1)
        if last < 0:
            continue
        if title == _X32:
            newest_x32 = last
        else:
            newest[architecture] = last
    return enosys.prelude(newest, newest_x32)
