"""The default filter, by what the kernel does under it."""

from __future__ import annotations

import errno
import hashlib
import os
import socket

import pytest

from cellcrate_runtime.linux.seccomp import default_profile
from cellcrate_runtime.linux.seccomp.calls import ALWAYS

DOCKERS = frozenset(
    {
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    }
)
"""The capabilities that Docker gives a container."""

NUMBERS = {
    "x86_64": {
        "ptrace": 101,
        "personality": 135,
        "chroot": 161,
        "mount": 165,
        "reboot": 169,
        "init_module": 175,
        "add_key": 248,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "setns": 308,
        "bpf": 321,
        "userfaultfd": 323,
        "clone": 56,
    },
    "aarch64": {
        "ptrace": 117,
        "personality": 92,
        "chroot": 51,
        "mount": 40,
        "reboot": 142,
        "init_module": 105,
        "add_key": 217,
        "keyctl": 219,
        "unshare": 97,
        "perf_event_open": 241,
        "setns": 268,
        "bpf": 280,
        "userfaultfd": 282,
        "clone": 220,
    },
}.get(os.uname().machine, {})
EVERYWHERE = {"io_uring_setup": 425, "open_tree": 428, "clone3": 435, "mount_setattr": 442}
NUMBERS = NUMBERS | EVERYWHERE

pytestmark = pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="Numbers of this machine not listed."
)

CLONE_NEWUSER = 0x10000000


def rules(capabilities: frozenset[str]) -> str:
    """Return a digest of every rule for x86-64, one for each name, whatever their order."""
    profile = default_profile(capabilities, machine="x86_64", kernel=(6, 1))
    lines = {
        f"{name} {rule.action} {rule.errno_ret} "
        f"{[(a.index, a.op, a.value, a.value_two) for a in rule.args]}"
        for rule in profile.syscalls
        for name in rule.names
    }
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def test_the_rules_are_dockers():
    """The digests are those of moby/profiles, seccomp/default.json, commit cd3bed8.

    They were computed from that file, with its conditions resolved, not from this profile.
    """
    assert rules(frozenset()) == "5daa2f8780934a8c"
    assert rules(DOCKERS) == "5498ef6d2198c6c6"
    assert rules(DOCKERS | {"CAP_SYS_ADMIN"}) == "ed52c6429c259c7b"
    assert rules(DOCKERS | {"CAP_SYS_PTRACE", "CAP_SYS_NICE", "CAP_SYS_TIME"}) == "788b46e80b0eabea"
    assert len(ALWAYS) == len(set(ALWAYS)) == 361


@pytest.mark.parametrize(
    "name",
    [
        "mount",
        "reboot",
        "init_module",
        "add_key",
        "keyctl",
        "unshare",
        "perf_event_open",
        "setns",
        "bpf",
        "userfaultfd",
        "io_uring_setup",
        "open_tree",
        "mount_setattr",
    ],
)
def test_what_docker_refuses_is_refused(filtered, call, name):
    number = NUMBERS[name]
    assert filtered(default_profile(DOCKERS), lambda: call(number, 0, 0, 0)) == errno.EPERM


def test_ordinary_programs_run(filtered):
    def work() -> str:
        pid = os.fork()
        if pid == 0:
            os.execv("/bin/sh", ["sh", "-c", "echo hello >/dev/null && exit 7"])
        _, status = os.waitpid(pid, 0)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            client.sendall(b"x")
        return str(os.waitstatus_to_exitcode(status))

    assert filtered(default_profile(DOCKERS), work) == "7"


def test_threads_start_by_clone_because_clone3_does_not_exist(filtered, call):
    number = NUMBERS["clone3"]
    assert filtered(default_profile(DOCKERS), lambda: call(number, 0, 0)) == errno.ENOSYS

    def thread() -> str:
        import threading

        seen = []
        one = threading.Thread(target=lambda: seen.append("ran"))
        one.start()
        one.join()
        return seen[0]

    assert filtered(default_profile(DOCKERS), thread) == "ran"


def test_clone_makes_no_namespaces(filtered, call):
    def attempt() -> int:
        return call(NUMBERS["clone"], CLONE_NEWUSER | 17, 0, 0, 0, 0)

    assert filtered(default_profile(DOCKERS), attempt) == errno.EPERM


def test_what_is_newer_than_the_filter_does_not_exist(filtered, call):
    assert filtered(default_profile(DOCKERS), lambda: call(999)) == errno.ENOSYS


@pytest.mark.parametrize(
    ("personality", "expected"),
    [
        (0x0, 0),
        (0x8, 0),
        (0x20000, 0),
        (0x20008, 0),
        (0xFFFFFFFF, 0),
        (0x40000, errno.EPERM),  # ADDR_NO_RANDOMIZE
        (0x1_0000_0000, errno.EPERM),  # the upper half counts
    ],
)
def test_only_harmless_personalities(filtered, call, personality, expected):
    number = NUMBERS["personality"]
    assert filtered(default_profile(DOCKERS), lambda: call(number, personality)) == expected


@pytest.mark.parametrize(
    ("family", "allowed"),
    [
        (socket.AF_UNIX, True),
        (socket.AF_INET, True),
        (socket.AF_NETLINK, True),
        (socket.AF_ALG, False),
        (socket.AF_VSOCK, False),
        (42, True),  # AF_QIPCRTR: few kernels know it, and say so by another number than EPERM
    ],
)
def test_sockets_of_most_families(filtered, family, allowed):
    def open_socket() -> int:
        try:
            socket.socket(family, socket.SOCK_SEQPACKET).close()
        except OSError as error:
            return error.errno or 0
        return 0

    result = filtered(default_profile(DOCKERS), open_socket)
    assert (result == errno.EPERM) is not allowed


def test_a_program_can_be_traced(filtered, call):
    """PTRACE_TRACEME, which strace and debuggers inside a container need."""
    assert filtered(default_profile(DOCKERS), lambda: call(NUMBERS["ptrace"], 0, 0, 0, 0)) == 0


def test_before_linux_4_8_tracing_is_refused(filtered, call):
    profile = default_profile(DOCKERS, kernel=(4, 7))
    assert filtered(profile, lambda: call(NUMBERS["ptrace"], 0, 0, 0, 0)) == errno.EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "unshare"),
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "setns"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
    ],
)
def test_a_capability_opens_its_calls(filtered, call, capability, name):
    """The arguments make no sense, so that the kernel refuses too, but with another number."""
    number = NUMBERS[name]
    arguments = {"unshare": (1,), "mount": (1, 1, 1, 0, 0), "setns": (9999, 0)}.get(name, (1,) * 5)
    without = default_profile(DOCKERS - {capability})
    assert filtered(without, lambda: call(number, *arguments)) == errno.EPERM
    result = filtered(default_profile(DOCKERS | {capability}), lambda: call(number, *arguments))
    assert result in (errno.EINVAL, errno.EFAULT, errno.EBADF, errno.E2BIG)


def test_with_sys_admin_clone3_exists(filtered, call):
    profile = default_profile(DOCKERS | {"CAP_SYS_ADMIN"})
    assert filtered(profile, lambda: call(NUMBERS["clone3"], 0, 0)) == errno.EINVAL


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="Only x86-64 has x32.")
def test_the_other_calling_conventions_are_filtered_too(filtered, call):
    x32 = 0x40000000
    profile = default_profile(DOCKERS)
    assert filtered(profile, lambda: call(x32 | NUMBERS["keyctl"])) == errno.EPERM
    assert filtered(profile, lambda: call(x32 | 999)) == errno.ENOSYS


def test_other_machines():
    for machine, special in (("aarch64", "breakpoint"), ("s390x", "s390_runtime_instr")):
        profile = default_profile(DOCKERS, machine=machine)
        assert any(special in rule.names for rule in profile.syscalls)
        assert not any("arch_prctl" in rule.names for rule in profile.syscalls)
    clone = [rule for rule in profile.syscalls if rule.names == ["clone"]]
    assert clone[0].args[0].index == 1, "s390 has the flags second"
    assert default_profile(DOCKERS, machine="aarch64").architectures == [
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_ARM",
    ]
