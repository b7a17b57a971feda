"""Which system calls a container may make: Docker's default, none refused, or a profile given.

Source: the profile's format is documented in moby's profiles/seccomp/seccomp.go and, for users, in
Docker's "Seccomp security profiles".
"""

from __future__ import annotations

import os
from typing import Any

import msgspec

from cellcrate_runtime.engine.api.types import without_nulls
from cellcrate_runtime.engine.errors import BadRequestError
from cellcrate_runtime.linux.seccomp.profile import Argument, Seccomp, Syscall

__all__ = ["custom_profile"]

# What profiles call the machine, by what uname(2) calls it.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64", "s390x": "s390x"}


class _Condition(msgspec.Struct, rename="camel"):
    caps: list[str] = []
    arches: list[str] = []
    min_kernel: str = ""


class _Rule(msgspec.Struct, rename="camel"):
    action: str
    names: list[str] = []
    name: str = ""
    args: list[Argument] = []
    errno_ret: int | None = None
    includes: _Condition = msgspec.field(default_factory=_Condition)
    excludes: _Condition = msgspec.field(default_factory=_Condition)


class _ArchMap(msgspec.Struct, rename="camel"):
    architecture: str
    sub_architectures: list[str] = []


class _Profile(msgspec.Struct, rename="camel"):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] = []
    arch_map: list[_ArchMap] = []
    flags: list[str] = []
    syscalls: list[_Rule] = []
    listener_path: str = ""


def custom_profile(document: str, capabilities: frozenset[str]) -> Seccomp:
    """Translate a profile in Docker's format for this machine and these capabilities.

    Raises:
        BadRequestError: It is not JSON, or not a profile.
    """
    try:
        value: Any = without_nulls(msgspec.json.decode(document))
        profile = msgspec.convert(value, _Profile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadRequestError(
            f"opening seccomp profile failed: {error}. It must be the name of a JSON file in "
            "Docker's format, or `unconfined`"
        ) from error
    if profile.listener_path:
        raise BadRequestError("seccomp profiles with a listenerPath are not served by this engine")
    architectures = profile.architectures or _from_map(profile.arch_map)
    return Seccomp(
        default_action=profile.default_action,
        default_errno_ret=profile.default_errno_ret,
        architectures=architectures,
        flags=profile.flags,
        syscalls=[
            Syscall(
                names=rule.names or [rule.name],
                action=rule.action,
                errno_ret=rule.errno_ret,
                args=rule.args,
            )
            for rule in profile.syscalls
            if _applies(rule, capabilities)
        ],
    )


def _from_map(entries: list[_ArchMap]) -> list[str]:
    machine = f"SCMP_ARCH_{os.uname().machine.upper()}"
    for entry in entries:
        if entry.architecture == machine:
            return [entry.architecture, *entry.sub_architectures]
    return []


def _applies(rule: _Rule, capabilities: frozenset[str]) -> bool:
    machine = _ARCHITECTURES.get(os.uname().machine, os.uname().machine)
    includes, excludes = rule.includes, rule.excludes
    if includes.arches and machine not in includes.arches:
        return False
    if not capabilities.issuperset(includes.caps):
        return False
    if includes.min_kernel and _kernel() < _version(includes.min_kernel):
        return False
    if machine in excludes.arches or not capabilities.isdisjoint(excludes.caps):
        return False
    return not excludes.min_kernel or _kernel() < _version(excludes.min_kernel)


def _kernel() -> tuple[int, int]:
    return _version(os.uname().release)


def _version(text: str) -> tuple[int, int]:
    try:
        major, minor = text.split(".")[:2]
        return int(major), int("".join(c for c in minor if c.isdigit()))
    except ValueError:
        raise BadRequestError(f"seccomp profile: minKernel {text!r} is no kernel version") from None
