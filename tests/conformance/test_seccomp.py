"""config-linux.md, "Seccomp"."""

from __future__ import annotations

import ctypes
import errno
from typing import Any

import pytest

from conformance.box import Box

_MKDIR = ["mkdir", "mkdirat"]
_ALLOW_ALL: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW"}


def _rule(action: str, *names: str, **members: object) -> dict[str, object]:
    return {"names": list(names or _MKDIR), "action": action, **members}


def _mkdir(box: Box, *rules: dict[str, object], **members: object) -> str:
    """What comes of mkdir(2) under a filter with these rules."""
    box.linux["seccomp"] = {**_ALLOW_ALL, "syscalls": list(rules), **members}
    done = box.run("sh", "-c", "mkdir /dev/shm/new; echo $?")
    return f"{done.stdout.strip()} {done.stderr.strip().rpartition(': ')[2]}".strip()


def _calls() -> list[str]:
    """The names of all system calls of this machine, by number."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    native = ctypes.c_uint32(library.seccomp_arch_native())
    names = (library.seccomp_syscall_resolve_num_arch(native, number) for number in range(600))
    return [name.decode() for name in names if name]


def test_a_filter_is_there_if_asked(box: Box) -> None:
    """Seccomp: is optional."""
    script = "grep ^Seccomp: /proc/self/status"
    assert box.sh(script).split()[1] == "0"
    box.linux["seccomp"] = {**_ALLOW_ALL, "syscalls": [_rule("SCMP_ACT_ERRNO")]}
    assert box.sh(script).split()[1] == "2"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, "1 Operation not permitted"),
        ({"errnoRet": errno.ENOSPC}, "1 No space left on device"),
        ({"errnoRet": errno.ENOSYS}, "1 Function not implemented"),
    ],
)
def test_a_call_returns_an_error(box: Box, members: dict[str, object], expected: str) -> None:
    """SCMP_ACT_ERRNO, with EPERM if errnoRet does not say otherwise."""
    assert _mkdir(box, _rule("SCMP_ACT_ERRNO", **members)) == expected


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"])
def test_a_call_is_let_through(box: Box, action: str) -> None:
    """SCMP_ACT_ALLOW and SCMP_ACT_LOG."""
    default = {"defaultAction": "SCMP_ACT_LOG"}
    assert _mkdir(box, _rule(action), **default) == "0"


@pytest.mark.parametrize(
    "action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"]
)
def test_a_call_ends_the_program(box: Box, action: str) -> None:
    """SCMP_ACT_KILL and its kin: by SIGSYS, of which the shell makes 128 + 31."""
    assert _mkdir(box, _rule(action)).split()[0] == "159"


def test_a_call_raises_a_signal(box: Box) -> None:
    """SCMP_ACT_TRAP: SIGSYS, which nobody handles here."""
    assert _mkdir(box, _rule("SCMP_ACT_TRAP")).split()[0] == "159"


def test_a_call_waits_for_a_tracer(box: Box) -> None:
    """SCMP_ACT_TRACE: ENOSYS where there is no tracer."""
    assert _mkdir(box, _rule("SCMP_ACT_TRACE")) == "1 Function not implemented"


def test_what_no_rule_names_gets_the_default(box: Box) -> None:
    """defaultAction; that of one call is another."""
    box.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [_rule("SCMP_ACT_ALLOW", *(name for name in _calls() if name not in _MKDIR))],
    }
    done = box.run("sh", "-c", "mkdir /dev/shm/new; echo $?")
    assert done.stdout == "1\n"
    assert "Operation not permitted" in done.stderr


_HITS = [
    ("SCMP_CMP_EQ", {"value": 0o750}),
    ("SCMP_CMP_NE", {"value": 0o700}),
    ("SCMP_CMP_LT", {"value": 0o751}),
    ("SCMP_CMP_LE", {"value": 0o750}),
    ("SCMP_CMP_GT", {"value": 0o747}),
    ("SCMP_CMP_GE", {"value": 0o750}),
    # The value is the mask, and valueTwo what is to be left.
    ("SCMP_CMP_MASKED_EQ", {"value": 0o700, "valueTwo": 0o700}),
]
_MISSES = [
    ("SCMP_CMP_EQ", {"value": 0o700}),
    ("SCMP_CMP_NE", {"value": 0o750}),
    ("SCMP_CMP_LT", {"value": 0o750}),
    ("SCMP_CMP_LE", {"value": 0o747}),
    ("SCMP_CMP_GT", {"value": 0o750}),
    ("SCMP_CMP_GE", {"value": 0o751}),
    ("SCMP_CMP_MASKED_EQ", {"value": 0o007, "valueTwo": 0o007}),
]


def _chmod(box: Box, *conditions: tuple[str, dict[str, int]]) -> str:
    """What comes of chmod(2) with 0750; the mode is its last argument."""
    calls = (("chmod", 1), ("fchmodat", 2), ("fchmodat2", 2))
    rules = [
        _rule("SCMP_ACT_ERRNO", name, args=[{"index": index, "op": op, **value}])
        for name, index in calls
        for op, value in conditions
    ]
    box.linux["seccomp"] = {**_ALLOW_ALL, "syscalls": rules}
    return box.run("sh", "-c", "touch /dev/shm/file; chmod 750 /dev/shm/file").stderr


@pytest.mark.parametrize(("op", "value"), _HITS)
def test_an_argument_matches(box: Box, op: str, value: dict[str, int]) -> None:
    """args: index, value, valueTwo and op."""
    assert "not permitted" in _chmod(box, (op, value))


def test_no_argument_matches(box: Box) -> None:
    """args: the same operators, with values that the argument has not."""
    assert _chmod(box, *_MISSES) == ""


def test_all_arguments_have_to_match(box: Box) -> None:
    """args: several conditions are all to be met."""
    here = {"index": 0, "value": 0, "op": "SCMP_CMP_NE"}
    never = {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}
    assert _mkdir(box, _rule("SCMP_ACT_ERRNO", args=[here])).startswith("1")
    other = _rule("SCMP_ACT_ERRNO", "mkdir", args=[here, {**never, "index": 1}])
    assert _mkdir(box, other) == "0"


def test_a_call_that_no_kernel_knows_is_passed_over(box: Box) -> None:
    """Profiles name calls of every architecture."""
    assert _mkdir(box, _rule("SCMP_ACT_ERRNO", "no_such_call", "mkdir", "mkdirat")).startswith("1")


def test_architectures_of_a_filter(box: Box) -> None:
    """architectures: those that it is for beside this machine's own."""
    architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"]
    assert _mkdir(box, _rule("SCMP_ACT_ERRNO"), architectures=architectures).startswith("1")


def test_flags_of_a_filter(box: Box) -> None:
    """flags: with which it is loaded."""
    flags = ["SECCOMP_FILTER_FLAG_LOG"]
    assert _mkdir(box, _rule("SCMP_ACT_ERRNO"), flags=flags).startswith("1")


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_filter_takes_no_new_privileges_or_a_right(box: Box, no_new_privileges: bool) -> None:
    """noNewPrivileges is as it was asked for, with a filter too."""
    box.process["noNewPrivileges"] = no_new_privileges
    box.linux["seccomp"] = {**_ALLOW_ALL, "syscalls": [_rule("SCMP_ACT_ERRNO")]}
    assert box.sh("grep NoNewPrivs /proc/self/status").split()[1] == str(int(no_new_privileges))


@pytest.mark.parametrize(
    "wrong",
    [
        {"defaultAction": "SCMP_ACT_NONSENSE"},
        {**_ALLOW_ALL, "syscalls": [_rule("SCMP_ACT_NONSENSE")]},
        {**_ALLOW_ALL, "architectures": ["SCMP_ARCH_NONSENSE"]},
        {
            **_ALLOW_ALL,
            "syscalls": [
                _rule("SCMP_ACT_ERRNO", args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NONSENSE"}])
            ],
        },
    ],
)
def test_a_filter_that_cannot_be_is_refused(box: Box, wrong: dict[str, Any]) -> None:
    """config.md, "Valid values": actions, architectures and operators."""
    box.linux["seccomp"] = wrong
    box.refuse("true")
