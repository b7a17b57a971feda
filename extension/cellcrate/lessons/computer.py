"""What this computer can do for the lesson, found out by trying."""

from __future__ import annotations

import platform
import shlex
import time
from dataclasses import dataclass
from html import escape
from typing import Any

import psutil

from cellcrate.cells.request import default_image
from cellcrate.connection import engine
from cellcrate.errors import CellcrateError
from cellcrate.explain import engine_errors
from cellcrate.lessons.words import say
from cellcrate.lessons.workloads.game import usable_cpus

__all__ = ["Computer", "computer"]

GIB = 1 << 30

# What the engine says of itself (Docker Engine API, SystemInfo), for each flag of a lesson.
LIMITS = {"--cpus": "CpuCfsQuota", "--cpu-shares": "CPUShares", "--memory": "MemoryLimit"}


@dataclass(frozen=True, slots=True)
class Computer:
    """What the lesson needs to know of this computer.

    Attributes:
        cpus: How many CPUs this kernel may use.
        memory: How much memory there is, in bytes.
        kernel: The operating system's name and version.
        start_seconds: How long a container took from start to end; None if none can be started.
        engine: The name of the engine that containers run in.
        why_not: Why no container can be started; empty if one can.
        limits: For each flag, whether a container can be given that limit.
    """

    cpus: int
    memory: int
    kernel: str
    start_seconds: float | None
    engine: str
    why_not: str
    limits: dict[str, bool]

    def allow(self, flags: str) -> str:
        """The flags that this computer can keep, for the line of `%%container`.

        A flag that it cannot keep is left out, and a sentence says so and how that is mended.
        """
        words = shlex.split(flags)
        kept = []
        for flag, value in zip(words[::2], words[1::2], strict=True):
            if self.limits.get(flag, False):
                kept += [flag, value]
            else:
                print(say("limit_missing", flag=flag, value=value))
        return " ".join(kept)

    def _rows(self) -> list[tuple[str, str, bool]]:
        size = say(
            "computer_size", cpus=self.cpus, gib=f"{self.memory / GIB:.1f}", kernel=self.kernel
        )
        rows = [(say("this_computer"), size, True)]
        if self.start_seconds is None:
            return [*rows, (say("row_containers"), say("containers_no", why=self.why_not), False)]
        how = say("containers_yes", ms=f"{self.start_seconds * 1000:.0f}", engine=self.engine)
        rows.append((say("row_containers"), how, True))
        for flag, works in self.limits.items():
            text = say("limit_yes" if works else "limit_no")
            rows.append((say("row_limit", flag=flag), text, works))
        return rows

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{'✔' if fine else '✘'}</td><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text, fine in self._rows()
        )
        return f"<table>{rows}</table>"

    def __repr__(self) -> str:
        return "\n".join(
            f"{'✔' if fine else '✘'} {name}: {text}" for name, text, fine in self._rows()
        )


def computer() -> Computer:
    """Find out what this computer can do: start a container, and ask which limits it can have."""
    seconds, engine, why_not, info = None, "", "", dict[str, Any]()
    try:
        seconds, engine, info = _try_a_container()
    except CellcrateError as error:
        why_not = str(error)
    return Computer(
        cpus=usable_cpus(),
        memory=psutil.virtual_memory().total,
        kernel=f"{platform.system()} {platform.release()}",
        start_seconds=seconds,
        engine=engine,
        why_not=why_not,
        limits={flag: bool(info.get(key)) for flag, key in LIMITS.items()},
    )


@engine_errors()
def _try_a_container() -> tuple[float, str, dict[str, Any]]:
    """Run `true` in a container; the time it took, the engine's name, and what it says it can."""
    client = engine().client
    # The first container may have to pack its image; the second one shows the usual time.
    for _ in range(2):
        begun = time.monotonic()
        client.containers.run(default_image(), ["true"], remove=True)
        seconds = time.monotonic() - begun
    version = client.version()
    name = version.get("Platform", {}).get("Name") or "Docker Engine"
    return seconds, f"{name} {version['Version']}", client.info()
