"""The filter of a container that asks for no other: equal in effect to Docker's.

Everything is refused with EPERM but what is named here and in :mod:`.calls`; what is newer than
the filter's knowledge is refused with ENOSYS (see :mod:`.enosys`).
Source: moby/profiles, seccomp/default_linux.go and seccomp_linux.go, as of July 2026.
"""

from __future__ import annotations

import errno
import os
import socket

from .calls import ALWAYS
from .profile import Argument, Seccomp, Syscall

__all__ = ["default_profile"]

# From the machine's name, as uname(2) has it, to the architectures whose calls it can make.
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    "riscv64": ["SCMP_ARCH_RISCV64"],
    "s390x": ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
    "loongarch64": ["SCMP_ARCH_LOONGARCH64"],
}

# Calls that only one architecture has.
_BY_MACHINE = {
    "x86_64": "arch_prctl modify_ldt",
    "aarch64": """
        arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls""",
    "ppc64le": "sync_file_range2 swapcontext",
    "riscv64": "riscv_flush_icache",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}

# Calls whose doors open with a capability.
_BY_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
        umount umount2 unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": """
        kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace""",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
}

_TRACING = ["process_vm_readv", "process_vm_writev", "ptrace"]
# Before Linux 4.8, a tracer could change a call after the filter had looked at it.
_TRACING_IS_SAFE_SINCE = (4, 8)

# PER_LINUX, PER_LINUX32, UNAME26 with each of them, and the question "which one now?"
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_NEW_NAMESPACES = 0x7E020000


def default_profile(
    capabilities: frozenset[str],
    *,
    machine: str | None = None,
    kernel: tuple[int, int] | None = None,
) -> Seccomp:
    """Return Docker's default filter for a container with these capabilities.

    ``capabilities`` is the bounding set, with names such as ``CAP_SYS_ADMIN``. ``machine`` and
    ``kernel`` (major and minor version) are this computer's unless given.
    """
    machine = machine or os.uname().machine
    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=errno.EPERM,
        architectures=_ARCHITECTURES.get(machine, []),
        # As runc does: without it old kernels slow every filtered program down.
        flags=["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        syscalls=[
            _allow(*ALWAYS),
            *_sockets(),
            *(_allow("personality", args=[_compare(0, "EQ", p)]) for p in _PERSONALITIES),
            *([_allow(*_TRACING)] if (kernel or _kernel()) >= _TRACING_IS_SAFE_SINCE else []),
            *([_allow(*_BY_MACHINE[machine].split())] if machine in _BY_MACHINE else []),
            *(
                _allow(*names.split())
                for capability, names in _BY_CAPABILITY.items()
                if capability in capabilities
            ),
            *([] if "CAP_SYS_ADMIN" in capabilities else _no_new_namespaces(machine)),
        ],
    )


def _allow(*names: str, args: list[Argument] | None = None) -> Syscall:
    return Syscall(names=list(names), action="SCMP_ACT_ALLOW", args=args or [])


def _compare(index: int, operator: str, value: int) -> Argument:
    return Argument(index=index, op=f"SCMP_CMP_{operator}", value=value)


def _sockets() -> list[Syscall]:
    """Allow all families of sockets but AF_ALG (38) and AF_VSOCK (40).

    AF_VSOCK reaches the hypervisor, which no namespace covers, and AF_ALG the kernel's
    cryptography, which has had holes. One comparison of an argument is one rule, and rules are
    alternatives: "neither 38 nor 40" has to be said in three.
    """
    return [
        _allow("socket", args=[_compare(0, "LT", int(socket.AF_ALG))]),
        _allow("socket", args=[_compare(0, "EQ", int(socket.AF_ALG) + 1)]),
        _allow("socket", args=[_compare(0, "GT", int(socket.AF_VSOCK))]),
    ]


def _no_new_namespaces(machine: str) -> list[Syscall]:
    """Allow clone(2) without namespaces, and deny that clone3(2) exists.

    clone3 has its flags in memory, where a filter cannot look. With ENOSYS the C library uses
    clone instead.
    """
    flags = 1 if machine == "s390x" else 0  # there, clone(2) has its first two arguments swapped
    return [
        _allow("clone", args=[_compare(flags, "MASKED_EQ", _NEW_NAMESPACES)]),
        Syscall(names=["clone3"], action="SCMP_ACT_ERRNO", errno_ret=errno.ENOSYS),
    ]


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor.partition("-")[0])
