"""A trace as it is kept and as ``GET /containers/{id}/trace`` answers it."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Step", "Subject", "Trace", "write"]

Subject: TypeAlias = Literal[
    "namespaces",
    "control group",
    "mounts",
    "devices",
    "protected paths",
    "kernel parameters",
    "rights",
    "program",
]


class Step(msgspec.Struct, rename="pascal", kw_only=True):
    """One thing that was done.

    Attributes:
        time: When it was done, in milliseconds since the start began.
        by: The process, or the runtime program, that did it.
        call: The system call; with a comma between them where it took several.
        subject: What it is part of.
        target: What it was done to: a namespace, a control file, a path in the container.
        detail: What was done.
    """

    time: float
    by: str
    call: str
    subject: Subject
    target: str
    detail: str = ""


class Trace(msgspec.Struct, rename="pascal", kw_only=True):
    """What was done to start a container once, in order.

    Attributes:
        runtime: The name of the runtime.
        method: How it is known: the runtime's own notes, or what strace saw of it.
        remarks: What whoever reads it should know.
        error: Why the start failed; empty if it did not.
    """

    runtime: str
    method: Literal["notes", "strace"]
    remarks: list[str] = []
    error: str = ""
    steps: list[Step] = []


def write(path: str, trace: Trace) -> None:
    """Write a trace; whole, as another process sees it.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(trace))
    os.rename(f"{path}.new", path)
