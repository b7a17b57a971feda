"""Programs that run inside a container, and try; what they tell is JSON on their last line."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import RunningEngine

#: For modules whose attacks name system calls by their numbers.
X86_64_NUMBERS = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers are those of x86-64"
)

ROOT = os.geteuid() == 0

# Every attempt is made with the bare system call, whose error number says who refused it.
TOOLS = """
import ctypes, errno, json, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(number, *arguments):
    "Make a system call: 0, or the name of its error."
    words = [a if isinstance(a, bytes) or a is None else ctypes.c_long(a) for a in arguments]
    if libc.syscall(ctypes.c_long(number), *words) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return 0

def attempt(what, *arguments):
    "Do something: 0, or the name of its error."
    try:
        what(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return 0

def opens(path, flags=os.O_RDONLY):
    "Open a file, and let go of it: 0, or the name of the error."
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        return errno.errorcode[error.errno]
    return 0

def tell(what):
    print(json.dumps(what), flush=True)
"""


def attack(engine: RunningEngine, program: str, **options: Any) -> Any:
    """What a Python program in a new container tells."""
    container = engine.run(["python3", "-c", TOOLS + program], **options)
    status = container.wait()["StatusCode"]
    said = container.logs().decode()
    container.remove()
    assert status == 0, (status, said)
    return json.loads(said.splitlines()[-1])


def attack_by_exec(container: Any, program: str, **options: Any) -> Any:
    """What a Python program that joins a running container tells."""
    done = container.exec_run(["python3", "-c", TOOLS + program], **options)
    assert done.exit_code == 0, done.output.decode()
    return json.loads(done.output.decode().splitlines()[-1])


def victim(engine: RunningEngine, **options: Any) -> Any:
    """A container that only sleeps."""
    return engine.run(["sleep", "1000"], **options)


@contextlib.contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """Some files of the host, which are afterwards as they were."""
    before = [_look(path) for path in paths]
    yield
    assert [_look(path) for path in paths] == before


def _look(path: Path) -> tuple[object, ...]:
    status = path.stat()
    content: object = sorted(os.listdir(path)) if path.is_dir() else path.read_bytes()
    return status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, content
