"""Execs on disk, so that the engine after this one knows what runs in its containers.

A client that is attached to an exec goes on when the engine is killed, since its connection is the
shim's. At the end it asks for the exit code, and whichever engine there is has to know the exec.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.exec_config import ExecConfig

__all__ = ["Record", "erase", "read_all", "write"]

_SUFFIX = ".json"


class Record(msgspec.Struct):
    """One exec that was started."""

    config: ExecConfig
    pid: int
    exit_code: int | None
    run: int = 0  # when the run of its container began, in nanoseconds


def write(container: Container, exec_id: str, record: Record) -> None:
    """Note how an exec is. This is not forced to the disk: no exec survives the machine."""
    record.run = container.state.started_at
    path = _path(container, exec_id)
    with contextlib.suppress(FileNotFoundError):  # the container was removed meanwhile
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(record))
        temporary.rename(path)


def erase(container: Container, exec_id: str) -> None:
    """Forget an exec."""
    _path(container, exec_id).unlink(missing_ok=True)


def read_all(container: Container) -> Iterator[tuple[str, Record]]:
    """Give the execs of the present run of a container, with their ids; erase all others."""
    for path in list(_folder(container).glob("*")):
        record = None
        with contextlib.suppress(msgspec.DecodeError):
            record = msgspec.json.decode(path.read_bytes(), type=Record)
        if record is None or record.run != container.state.started_at or path.suffix != _SUFFIX:
            path.unlink()
        else:
            yield path.stem, record


def _folder(container: Container) -> Path:
    return container.folder / "execs"


def _path(container: Container, exec_id: str) -> Path:
    return _folder(container) / f"{exec_id}{_SUFFIX}"
