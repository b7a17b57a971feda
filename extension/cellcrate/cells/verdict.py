"""How a container ended, in words."""

from __future__ import annotations

import signal
import sys

from cellcrate.cells.link import Link
from cellcrate.cells.request import Request
from cellcrate.errors import ContainerFailed, EngineError, Outcome, OutOfMemory
from cellcrate.widgets.words import human_size

__all__ = ["judge", "look_back", "missing_program"]

SIGNAL_BASE = 128


def look_back(link: Link, request: Request, container: str, status: int) -> Outcome:
    """Return how a container ended.

    A container that ended well and had no limit on memory has nothing more to tell; otherwise it
    is inspected, which costs a request.
    """
    if status == 0 and not request.memory_limit and request.remove:
        return Outcome(status=0, name=request.name)
    details = link.ask(lambda api: api.inspect_container(container))
    return Outcome(
        status=status,
        name=str(details.get("Name", "")).lstrip("/"),
        out_of_memory=bool(details["State"].get("OOMKilled")),
        memory_limit=int(details["HostConfig"].get("Memory") or 0),
    )


def missing_program(error: EngineError) -> int | None:
    """Return the exit status that docker gives a program which could not be run.

    A container never starts without its program, and engines say so in words alone: runc's, which
    Docker and Podman hand on, and which Cellcrate's own engine uses too.
    """
    text = str(error).lower()
    if "exec" not in text:
        return None
    if "permission denied" in text or "exec format error" in text or "is a directory" in text:
        return 126
    if "executable file not found" in text or "no such file or directory" in text:
        return 127
    return None


def judge(outcome: Outcome, *, raise_error: bool) -> None:
    """Say what a person should know of the end.

    Raises:
        OutOfMemory: The kernel killed a process for want of memory, and the container failed.
        ContainerFailed: The exit status is not 0.
    """
    if outcome.ok or not raise_error:
        if outcome.out_of_memory:
            print(_memory(outcome), file=sys.stderr)
        return
    if outcome.out_of_memory:
        raise OutOfMemory(f"{_memory(outcome)} Exit status {outcome.status}.", outcome)
    raise ContainerFailed(_failure(outcome), outcome)


def _memory(outcome: Outcome) -> str:
    if outcome.memory_limit:
        return (
            "The container ran out of memory: the kernel killed a process in it, because together "
            f"they reached the limit of {human_size(outcome.memory_limit)} (--memory)."
        )
    return "The machine ran out of memory, and the kernel killed a process in the container."


def _failure(outcome: Outcome) -> str:
    text = f"The container ended with exit status {outcome.status}."
    meaning = _meaning(outcome.status)
    return f"{text} {meaning}" if meaning else text


def _meaning(status: int) -> str:
    # 126, 127 and 128 + n are a shell's own (POSIX, "Exit Status for Commands"); docker uses the
    # first two for a program that it cannot run.
    if status == 126:
        return "A command was found and could not be run: it is no program, or may not be executed."
    if status == 127:
        return "A command was not found: the image has no program of that name."
    if status > SIGNAL_BASE:
        try:
            name = signal.Signals(status - SIGNAL_BASE).name
        except ValueError:
            return ""
        return f"That means that signal {status - SIGNAL_BASE} ({name}) ended it."
    return ""
