"""Running filters: in the kernel, in a child of its own, and step by step here."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import traceback
from collections.abc import Callable

import pytest

from cellcrate_runtime.linux import processes, seccomp
from cellcrate_runtime.linux.seccomp import SeccompUnavailableError
from cellcrate_runtime.linux.seccomp.library import library
from cellcrate_runtime.linux.seccomp.profile import Seccomp

_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(autouse=True)
def libseccomp():
    try:
        library()
    except SeccompUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def filtered() -> Callable[..., object]:
    """Run a function under a filter, in a child, and return its result (a number or None)."""

    def run(profile: Seccomp, function: Callable[[], object]) -> object:
        program, flags = seccomp.compile(profile), seccomp.flags(profile)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(30)
                processes.forbid_new_privileges()
                seccomp.load(program, flags)
                os.write(writer, repr(function()).encode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(writer)
        said = os.read(reader, 1000).decode()
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return signal.Signals(-code).name
        assert said, "see the child's traceback"
        return eval(said)

    return run


@pytest.fixture
def call() -> Callable[..., int]:
    """Make a system call by its number and return the error number, or 0."""

    def make(number: int, *arguments: int) -> int:
        ctypes.set_errno(0)
        words = [ctypes.c_ulong(argument) for argument in arguments]
        result = _libc.syscall(ctypes.c_long(number), *words)
        return ctypes.get_errno() if result == -1 else 0

    return make


def decide(program: bytes, architecture: int, number: int, arguments: tuple[int, ...]) -> int:
    """Run a filter as the kernel does and return the action."""
    data = struct.pack("=iIQ6Q", _signed(number), architecture, 0, *arguments)
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return value
        elif code == 0x05:
            at += value
        elif code == 0x54:
            accumulator &= value
        else:
            holds = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: accumulator & value != 0,
            }[code]
            at += if_true if holds else if_false


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


@pytest.fixture
def decision() -> Callable[..., int]:
    """The decision of a filter about a call, as :func:`decide` finds it."""
    return decide
