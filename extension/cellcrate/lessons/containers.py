"""The lesson's programs in containers, seen through the Docker Engine API."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cellcrate.cells.streams import Demultiplexer
from cellcrate.connection import engine
from cellcrate.errors import CellcrateError
from cellcrate.explain import engine_errors
from cellcrate.http import container_url, get_stream
from cellcrate.lessons.errors import LessonError
from cellcrate.lessons.reports import Report, parse
from cellcrate.lessons.words import say

if TYPE_CHECKING:
    from docker.models.containers import Container

__all__ = [
    "Limits",
    "can_be_limited",
    "cpus_used",
    "find",
    "last_words",
    "limits",
    "read",
    "remove",
    "reports",
    "times_held_back",
]

SECONDS_OF_CPU = 1.5
DEFAULT_PERIOD = 100_000  # microseconds: the kernel's, where a quota is given without one


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container was promised and forbidden; None where it has no limit.

    Attributes:
        cpus: At most so many CPUs.
        shares: The weight in a fight for CPU; Docker's default is 1024.
        memory: At most so many bytes.
    """

    cpus: float | None
    shares: int | None
    memory: int | None

    def __str__(self) -> str:
        parts = []
        if self.cpus is not None:
            parts.append(say("limit_cpus", cpus=f"{self.cpus:g}"))
        if self.shares is not None:
            parts.append(say("limit_shares", shares=self.shares))
        if self.memory is not None:
            parts.append(say("limit_memory", mib=self.memory >> 20))
        return ", ".join(parts) or say("limit_none")


def find(name: str) -> Container:
    """The container with that name.

    Raises:
        LessonError: there is none, or no engine answers.
    """
    from docker.errors import NotFound

    found = None
    try:
        with engine_errors(), suppress(NotFound):
            found = engine().client.containers.get(name)
    except CellcrateError as error:
        raise LessonError(say("no_engine", error=error)) from None
    if found is None:
        raise LessonError(say("no_container", name=name))
    return found


@engine_errors()
def limits(container: Container) -> Limits:
    """The limits that the engine has in force for the container now."""
    container.reload()
    configured: dict[str, Any] = container.attrs["HostConfig"]
    cpus = (configured.get("NanoCpus") or 0) / 1e9
    if not cpus and (configured.get("CpuQuota") or 0) > 0:
        cpus = configured["CpuQuota"] / (configured.get("CpuPeriod") or DEFAULT_PERIOD)
    return Limits(
        cpus=cpus or None,
        shares=configured.get("CpuShares") or None,
        memory=configured.get("Memory") or None,
    )


def reports(container: Container) -> Iterator[Report]:
    """The reports from now on, as they come; ends when the container ends."""
    api = container.client.api
    address = container_url(api, str(container.id), "logs")
    frames = Demultiplexer(tty=False)
    pending = b""
    with closing(get_stream(api, address, {"stdout": 1, "follow": 1, "tail": 0})) as answer:
        for data in answer.iter_content(chunk_size=None):
            pending += b"".join(part for _, part in frames.feed(data))
            *lines, pending = pending.split(b"\n")
            for line in lines:
                report = parse(line)
                if report is not None:
                    yield report


@engine_errors()
def read(container: Container, name: str) -> bytes:
    """A file in the folder that the container's program runs in.

    Raises:
        EngineError: the engine cannot hand it out.
    """
    folder = container.attrs["Config"].get("WorkingDir") or "/"
    chunks, _ = container.get_archive(str(PurePosixPath(folder, name)))
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        file = archive.extractfile(name)
        return file.read() if file is not None else b""


@engine_errors()
def can_be_limited(container: Container) -> bool:
    """Whether the container's engine can limit CPU time, as it says itself."""
    information = container.client.info()
    return bool(information.get("CpuCfsQuota") and information.get("CPUShares"))


@engine_errors()
def last_words(container: Container) -> str:
    """How a container that has ended came to its end, and the last that it said."""
    container.reload()
    state: dict[str, Any] = container.attrs["State"]
    if state.get("Running"):
        return say("lost_sight", name=container.name)
    if state.get("OOMKilled"):
        limit = container.attrs["HostConfig"].get("Memory") or 0
        return say("killed_for_memory", name=container.name, mib=limit >> 20)
    said = container.logs(tail=5).decode(errors="replace").strip()
    ended = say("container_ended", name=container.name, status=state.get("ExitCode"))
    return f"{ended}\n{said}".rstrip()


@engine_errors()
def cpus_used(container: Container, seconds: float = SECONDS_OF_CPU) -> float:
    """How many CPUs the container keeps busy, measured over some seconds."""

    def used() -> tuple[float, float]:
        stats = container.stats(stream=False, one_shot=True)
        return stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, time.monotonic()

    before, begun = used()
    time.sleep(seconds)
    after, ended = used()
    return (after - before) / (ended - begun)


@engine_errors()
def times_held_back(container: Container) -> int:
    """In how many periods the container has used up its quota, and then had to rest."""
    stats = container.stats(stream=False, one_shot=True)
    return int(stats["cpu_stats"]["throttling_data"]["throttled_periods"])


@engine_errors()
def remove(name: str) -> bool:
    """Remove the container with that name, running or not; False if there is none."""
    try:
        found = find(name)
    except LessonError:
        return False
    found.remove(force=True, v=True)
    return True
