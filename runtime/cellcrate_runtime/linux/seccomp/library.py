"""libseccomp, through ctypes: only what compiling a filter takes.

Source: libseccomp's seccomp.h and its manual pages, such as seccomp_rule_add(3).
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

from .errors import InvalidProfileError, SeccompError, SeccompUnavailableError

__all__ = [
    "ACTIONS",
    "ARCHITECTURES",
    "OPERATORS",
    "Comparison",
    "Filter",
    "library",
    "resolve",
    "token",
    "version",
]

_SONAME = "libseccomp.so.2"

_ERRNO = 0x00050000
_TRACE = 0x7FF00000

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,  # the calling thread
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

# As of libseccomp 2.6; an older one knows fewer.
ARCHITECTURES = frozenset(
    f"SCMP_ARCH_{name}"
    for name in (
        *("X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K"),
        *("MIPS", "MIPS64", "MIPS64N32", "MIPSEL", "MIPSEL64", "MIPSEL64N32"),
        *("PARISC", "PARISC64", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X"),
        *("SH", "SHEB"),
    )
)

_ATTRIBUTE_NO_NEW_PRIVILEGES = 3
_ATTRIBUTE_OPTIMIZE = 8
_BINARY_TREE = 2


class Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``: a condition on one argument."""

    _fields_ = (
        ("index", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )

    @classmethod
    def of(cls, index: int, operator: str, value: int, value_two: int) -> Comparison:
        """Make one from the words of the OCI runtime specification.

        Raises:
            InvalidProfileError: There is no such operator or argument.
        """
        if operator not in OPERATORS:
            raise InvalidProfileError(f"{operator!r} is not an operator of seccomp.")
        if not 0 <= index <= 5:
            raise InvalidProfileError(f"A system call has no argument {index}, only 0 to 5.")
        return cls(index, OPERATORS[operator], value, value_two)


@cache
def library() -> ctypes.CDLL:
    """Load the library, by its soname: ``ctypes.util.find_library`` would start programs.

    Raises:
        SeccompUnavailableError: It is not installed.
    """
    try:
        lib = ctypes.CDLL(_SONAME, use_errno=True)
    except OSError as error:
        raise SeccompUnavailableError(
            f"{_SONAME} is not installed, so system calls cannot be filtered. "
            "Install it (Debian, Ubuntu: apt install libseccomp2; Fedora: dnf install libseccomp; "
            "Alpine: apk add libseccomp), or run without a filter: "
            "--security-opt seccomp=unconfined."
        ) from error
    lib.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_release.argtypes = [ctypes.c_void_p]
    lib.seccomp_release.restype = None
    lib.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    lib.seccomp_arch_native.restype = ctypes.c_uint32
    lib.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    lib.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    ]
    lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return lib


def version() -> str:
    """Return the library's version, such as ``2.5.4``."""
    return ".".join(map(str, library().seccomp_version().contents))


def token(architecture: str) -> int:
    """Return libseccomp's number of an architecture such as ``SCMP_ARCH_X86_64``.

    Raises:
        InvalidProfileError: There is no such architecture.
    """
    name = architecture.removeprefix("SCMP_ARCH_").lower()
    number = int(library().seccomp_arch_resolve_name(name.encode()))
    if number == 0 or architecture not in ARCHITECTURES:
        raise InvalidProfileError(f"{architecture!r} is not an architecture that libseccomp knows.")
    return number


def resolve(name: str, architecture: int) -> int | None:
    """Return a system call's number, or None where libseccomp does not know the call.

    A negative number stands for a call that this architecture does not have and others do.
    """
    number = int(library().seccomp_syscall_resolve_name_arch(architecture, name.encode()))
    return None if number == -1 else number


class Filter:
    """A filter under construction; close it with :meth:`release`."""

    def __init__(self, default_action: int) -> None:
        self._lib = library()
        self._context = self._lib.seccomp_init(default_action)
        if not self._context:
            raise SeccompError("libseccomp cannot make a filter with this default action.")

    def release(self) -> None:
        """Give the memory back."""
        self._lib.seccomp_release(self._context)
        self._context = None

    def prepare(self, *, binary_tree: bool) -> None:
        """Leave no_new_privs to the runtime; look a call up in a tree where there are many."""
        self._lib.seccomp_attr_set(self._context, _ATTRIBUTE_NO_NEW_PRIVILEGES, 0)
        if binary_tree:  # an older library does not know it, and works without
            self._lib.seccomp_attr_set(self._context, _ATTRIBUTE_OPTIMIZE, _BINARY_TREE)

    def add_architecture(self, number: int) -> None:
        """Filter the calls of another architecture too."""
        self._check(self._lib.seccomp_arch_add(self._context, number), allow=errno.EEXIST)

    def add_rule(self, action: int, call: int, comparisons: list[Comparison]) -> None:
        """Do something about a call whose arguments fit all comparisons."""
        array = (Comparison * len(comparisons))(*comparisons)
        result = self._lib.seccomp_rule_add_array(
            self._context, action, call, len(comparisons), array
        )
        self._check(result, allow=errno.EEXIST)

    def export(self) -> bytes:
        """Return the BPF program."""
        fd = os.memfd_create("seccomp")
        try:
            self._check(self._lib.seccomp_export_bpf(self._context, fd))
            size = os.fstat(fd).st_size
            return os.pread(fd, size, 0)
        finally:
            os.close(fd)

    def _check(self, result: int, allow: int = 0) -> None:
        if result < 0 and -result != allow:
            raise SeccompError(f"libseccomp refuses the filter: {os.strerror(-result)}.")
