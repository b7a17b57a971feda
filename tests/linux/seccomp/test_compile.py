"""Profiles of any kind: actions, arguments, flags, and what is wrong with them."""

from __future__ import annotations

import ctypes
import errno
import os
import random

import pytest

from cellcrate_runtime.linux import seccomp
from cellcrate_runtime.linux.seccomp import (
    InvalidProfileError,
    SeccompError,
    SeccompUnavailableError,
    compiler,
    instructions,
    kept,
    library,
)
from cellcrate_runtime.linux.seccomp.profile import Argument, Seccomp, Syscall

GETPPID = {"x86_64": 110, "aarch64": 173}.get(os.uname().machine, -1)
NATIVE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}.get(os.uname().machine, 0)

ERRNO, ALLOW = 0x00050000, 0x7FFF0000


def allow_all_but(*rules: Syscall, **more) -> Seccomp:
    return Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=list(rules), **more)


def on_getppid(action: str, **more) -> Seccomp:
    return allow_all_but(Syscall(names=["getppid"], action=action, **more))


def test_errno_has_the_number_that_is_asked_for(filtered, call):
    profile = on_getppid("SCMP_ACT_ERRNO", errno_ret=errno.EDOM)
    assert filtered(profile, lambda: call(GETPPID)) == errno.EDOM
    assert filtered(on_getppid("SCMP_ACT_ERRNO"), lambda: call(GETPPID)) == errno.EPERM


def test_an_error_number_of_zero_is_not_the_default(filtered):
    """The call is skipped, and looks as if it had worked."""
    assert filtered(on_getppid("SCMP_ACT_ERRNO", errno_ret=0), os.getppid) == 0


@pytest.mark.parametrize(
    ("action", "signal"),
    [
        ("SCMP_ACT_KILL", "SIGSYS"),
        ("SCMP_ACT_KILL_THREAD", "SIGSYS"),
        ("SCMP_ACT_KILL_PROCESS", "SIGSYS"),
        ("SCMP_ACT_TRAP", "SIGSYS"),
    ],
)
def test_actions_that_end_the_process(filtered, call, action, signal):
    assert filtered(on_getppid(action), lambda: call(GETPPID)) == signal


def test_a_traced_call_without_a_tracer_does_not_exist(filtered, call):
    assert filtered(on_getppid("SCMP_ACT_TRACE"), lambda: call(GETPPID)) == errno.ENOSYS


def test_logging_lets_the_call_pass(filtered):
    parent = os.getpid()
    assert filtered(on_getppid("SCMP_ACT_LOG"), os.getppid) == parent


def test_notifying_returns_a_listener(call):
    profile = on_getppid("SCMP_ACT_NOTIFY")
    program, flags = seccomp.compile(profile), seccomp.flags(profile)
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        listener = seccomp.load(program, flags)
        target = os.readlink(f"/proc/self/fd/{listener}")
        os._exit(0 if target == "anon_inode:seccomp notify" else 1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize(
    ("operator", "value", "value_two", "matching", "others"),
    [
        ("SCMP_CMP_EQ", 5, 0, [5], [4, 6, 1 << 32 | 5]),
        ("SCMP_CMP_NE", 5, 0, [4, 6, 1 << 32 | 5], [5]),
        ("SCMP_CMP_LT", 1 << 33, 0, [0, (1 << 33) - 1], [1 << 33, 1 << 34]),
        ("SCMP_CMP_LE", 5, 0, [5, 0], [6, 1 << 40]),
        ("SCMP_CMP_GE", 5, 0, [5, 1 << 40], [4]),
        ("SCMP_CMP_GT", 5, 0, [6, 1 << 40], [5]),
        ("SCMP_CMP_MASKED_EQ", 0xF0, 0x50, [0x5A], [0x6A, 0x0A]),
    ],
)
def test_comparisons(decision, operator, value, value_two, matching, others):
    argument = Argument(index=2, op=operator, value=value, value_two=value_two)
    program = seccomp.compile(on_getppid("SCMP_ACT_ERRNO", errno_ret=77, args=[argument]))

    def decide(given: int) -> int:
        return decision(program, NATIVE, GETPPID, (1, 1, given, 1, 1, 1))

    assert [decide(given) for given in matching] == [ERRNO | 77] * len(matching)
    assert [decide(given) for given in others] == [ALLOW] * len(others)


def test_all_conditions_of_a_rule_have_to_hold(decision):
    args = [Argument(index=i, op="SCMP_CMP_EQ", value=i) for i in (0, 5)]
    program = seccomp.compile(on_getppid("SCMP_ACT_ERRNO", errno_ret=77, args=args))
    assert decision(program, NATIVE, GETPPID, (0, 9, 9, 9, 9, 5)) == ERRNO | 77
    assert decision(program, NATIVE, GETPPID, (0, 9, 9, 9, 9, 4)) == ALLOW


def test_two_conditions_about_one_argument_are_alternatives(decision):
    args = [Argument(index=0, op="SCMP_CMP_EQ", value=value) for value in (3, 4)]
    program = seccomp.compile(on_getppid("SCMP_ACT_ERRNO", errno_ret=77, args=args))
    assert decision(program, NATIVE, GETPPID, (3, 0, 0, 0, 0, 0)) == ERRNO | 77
    assert decision(program, NATIVE, GETPPID, (4, 0, 0, 0, 0, 0)) == ERRNO | 77
    assert decision(program, NATIVE, GETPPID, (5, 0, 0, 0, 0, 0)) == ALLOW


def test_an_unknown_call_is_skipped():
    rule = Syscall(names=["no_such_call", "getppid"], action="SCMP_ACT_ERRNO")
    known = Syscall(names=["getppid"], action="SCMP_ACT_ERRNO")
    assert seccomp.compile(allow_all_but(rule)) == seccomp.compile(allow_all_but(known))


def test_a_default_of_enosys_stays_so(decision):
    rule = Syscall(names=["getppid"], action="SCMP_ACT_ALLOW")
    profile = Seccomp(
        default_action="SCMP_ACT_ERRNO", default_errno_ret=errno.ENOSYS, syscalls=[rule]
    )
    program = seccomp.compile(profile)
    assert decision(program, NATIVE, 5000, (0,) * 6) == ERRNO | errno.ENOSYS
    assert decision(program, NATIVE, 0, (0,) * 6) == ERRNO | errno.ENOSYS


def test_a_killing_default_gives_newer_calls_enosys(decision):
    rule = Syscall(names=["getppid"], action="SCMP_ACT_ALLOW")
    profile = Seccomp(default_action="SCMP_ACT_KILL_PROCESS", syscalls=[rule])
    program = seccomp.compile(profile)
    assert decision(program, NATIVE, GETPPID + 1, (0,) * 6) == ERRNO | errno.ENOSYS
    assert decision(program, NATIVE, GETPPID - 1, (0,) * 6) == 0x80000000


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (Seccomp(default_action="ALLOW"), "'ALLOW' is not an action"),
        (on_getppid("SCMP_ACT_BANANA"), "not an action"),
        (
            on_getppid("SCMP_ACT_ERRNO", args=[Argument(index=0, op="==", value=1)]),
            "not an operator",
        ),
        (
            on_getppid("SCMP_ACT_ERRNO", args=[Argument(index=6, op="SCMP_CMP_EQ", value=1)]),
            "no argument 6",
        ),
        (allow_all_but(architectures=["SCMP_ARCH_Z80"]), "not an architecture"),
        (allow_all_but(architectures=["x86_64"]), "not an architecture"),
        (allow_all_but(flags=["SECCOMP_FILTER_FLAG_BANANA"]), "not a flag"),
        (Seccomp(default_action="SCMP_ACT_NOTIFY"), "cannot be the default"),
        (
            allow_all_but(Syscall(names=["write"], action="SCMP_ACT_NOTIFY")),
            "cannot be used for the write syscall",
        ),
        (
            allow_all_but(Syscall(names=["sendmsg"], action="SCMP_ACT_NOTIFY")),
            "cannot be used for the sendmsg syscall",
        ),
        (allow_all_but(Syscall(names=[], action="SCMP_ACT_KILL")), "names no system call"),
        (
            allow_all_but(Syscall(names=["getppid"], action="SCMP_ACT_TRAP", errno_ret=1)),
            "SCMP_ACT_TRAP takes no error number",
        ),
        (Seccomp(default_action="SCMP_ACT_KILL", default_errno_ret=1), "takes no error number"),
    ],
)
def test_what_is_wrong_is_named(profile, words):
    with pytest.raises(InvalidProfileError, match=words):
        seccomp.compile(profile)


def test_flags():
    flags = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ]
    assert seccomp.flags(allow_all_but(flags=flags)) == 2 | 4 | 32


def test_a_profile_is_compiled_once():
    assert seccomp.compile(on_getppid("SCMP_ACT_LOG")) is seccomp.compile(
        on_getppid("SCMP_ACT_LOG")
    )


def test_a_missing_library_says_what_to_install(monkeypatch):
    def missing(name: str, **more: object) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(SeccompUnavailableError, match="apt install libseccomp2"):
        library.library.__wrapped__()


def test_a_filter_takes_no_new_privileges_or_capabilities():
    program = seccomp.compile(on_getppid("SCMP_ACT_ERRNO"))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.getuid() == 0:
                os.setresuid(54321, 54321, 54321)
            seccomp.load(program)
        except SeccompError as error:
            code = 0 if "no_new_privs" in str(error) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_program_that_is_none_is_refused():
    with pytest.raises(SeccompError, match="does not take the seccomp filter"):
        seccomp.load(b"\xff" * 16)


# The smaller program against libseccomp's own


def both(profile: Seccomp, monkeypatch) -> tuple[bytes, bytes]:
    compiler._compile.cache_clear()
    smaller = seccomp.compile(profile)
    monkeypatch.setattr(compiler, "shrink", lambda program, architectures: program)
    compiler._compile.cache_clear()
    original = seccomp.compile(profile)
    compiler._compile.cache_clear()
    return smaller, original


PROFILES = {
    "Docker's": seccomp.default_profile(frozenset({"CAP_SYS_CHROOT"})),
    "with all capabilities": seccomp.default_profile(
        frozenset({"CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_NICE", "CAP_SYS_TIME", "CAP_SYSLOG"})
    ),
    "two rules": allow_all_but(
        Syscall(names=["getppid"], action="SCMP_ACT_ERRNO", errno_ret=5),
        Syscall(
            names=["socket", "ioctl"],
            action="SCMP_ACT_LOG",
            args=[Argument(index=1, op="SCMP_CMP_GT", value=1 << 35)],
        ),
    ),
    "nothing": Seccomp(default_action="SCMP_ACT_ERRNO"),
    "a few, on three architectures": Seccomp(
        default_action="SCMP_ACT_KILL",
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
        syscalls=[
            Syscall(names=["read", "write", "exit", "ipc", "shmat"], action="SCMP_ACT_ALLOW"),
            Syscall(names=["openat"], action="SCMP_ACT_TRACE", errno_ret=9),
        ],
    ),
}


@pytest.mark.parametrize("name", PROFILES)
def test_the_smaller_program_decides_as_libseccomps(name, monkeypatch, decision):
    smaller, original = both(PROFILES[name], monkeypatch)
    assert len(smaller) <= len(original)
    generator = random.Random(1)
    values = [0, 1, 2, 3, 8, 17, 38, 39, 40, 41, 0x20000, 0x20008, 0xFFFFFFFF, 1 << 32, 1 << 36]
    values += [0x10000000, 0x7E020000, (1 << 64) - 1]
    numbers = [*range(600), 0x3FFFFFFF, *range(0x40000000, 0x40000400), 0x7FFFFFFF, 0x80000000]
    numbers.append(0xFFFFFFFF)
    for architecture in (0xC000003E, 0x40000003, 0xC00000B7, 0x40000028, 0xC00000F3, 0):
        for number in numbers:
            for _ in range(3):
                arguments = tuple(generator.choice(values) for _ in range(6))
                expected = decision(original, architecture, number, arguments)
                assert decision(smaller, architecture, number, arguments) == expected, (
                    hex(architecture),
                    number,
                    arguments,
                )


def test_dockers_program_is_much_smaller(monkeypatch):
    smaller, original = both(PROFILES["Docker's"], monkeypatch)
    assert len(smaller) * 2 < len(original)
    assert instructions.encode(instructions.decode(smaller)) == smaller


def test_what_was_compiled_is_found_by_another_process(tmp_path, monkeypatch):
    profile = on_getppid("SCMP_ACT_ERRNO")
    expected = seccomp.compile(profile)
    monkeypatch.setattr(kept, "_folder", str(tmp_path / "kept"))
    compiler._compile.cache_clear()  # as in a new process
    assert seccomp.compile(profile) == expected
    monkeypatch.setattr(compiler, "_compile_anew", None)
    compiler._compile.cache_clear()
    assert seccomp.compile(profile) == expected


def test_what_was_compiled_from_something_else_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_folder", str(tmp_path))
    kept.keep(b"{}", b"for {}")
    (kept_file,) = tmp_path.iterdir()
    assert kept.find(b"{}") == b"for {}"
    assert kept.find(b"{1}") is None
    kept_file.write_bytes(b"{1}\nfor {1}")
    assert kept.find(b"{}") is None


def test_what_cannot_be_kept_is_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(kept, "_folder", "/proc/nowhere")
    compiler._compile.cache_clear()
    assert seccomp.compile(on_getppid("SCMP_ACT_LOG"))
