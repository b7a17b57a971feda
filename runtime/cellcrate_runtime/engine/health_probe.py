"""One health check: a command in a container, its exit code and the beginning of its output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.types import ContainerConfig
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import BadRequestError, ConflictError, EngineError
from cellcrate_runtime.engine.exec_config import ExecConfig
from cellcrate_runtime.engine.execs import Exec, Execs

__all__ = ["ProbeResult", "command", "run_probe"]

_KEPT_OUTPUT = 4096  # bytes, as in Docker
_HEADER = 8  # bytes before each piece of output; "Attach to a container" in the API reference
_DEFAULT_SHELL = ["/bin/sh", "-c"]
# How long a killed program's end may take; then its status is unknown, and no matter.
_PATIENCE = 5.0


class ProbeResult(msgspec.Struct, rename="pascal", frozen=True):
    """How one check went."""

    start: str
    end: str
    exit_code: int  # 0 is healthy; -1 when it was not over in time
    output: str


def command(config: ContainerConfig) -> list[str] | None:
    """Return the program that checks a container, with its arguments; None when nothing does."""
    test = config.healthcheck.test if config.healthcheck else []
    match test:
        case ["CMD", *arguments] if arguments:
            return arguments
        case ["CMD-SHELL", script]:
            return [*(config.shell or _DEFAULT_SHELL), script]
        case _:
            return None


async def run_probe(
    execs: Execs, container: Container, arguments: list[str], timeout: float
) -> ProbeResult | None:
    """Run a check, for *timeout* seconds at most; None if the container ended or was paused."""
    start = timestamps.now()
    config = ExecConfig(cmd=arguments, attach_stdout=True, attach_stderr=True)
    try:
        item = execs.create(container, config)
    except ConflictError:
        return None
    try:
        exit_code, output = await _run(execs, item, timeout)
    except ConflictError:
        return None
    except BadRequestError as error:
        exit_code, output = item.exit_code or 126, error.message
    except EngineError as error:
        exit_code, output = -1, error.message
    finally:
        execs.forget(item)
    return ProbeResult(
        start=timestamps.format_rfc3339(start),
        end=timestamps.format_rfc3339(timestamps.now()),
        exit_code=exit_code,
        output=output,
    )


async def _run(execs: Execs, item: Exec, timeout: float) -> tuple[int, str]:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            await execs.start(item, theirs.fileno(), record=False)
        process = _open_process(item.pid)
        try:
            async with asyncio.timeout(timeout):
                output = await _read_output(ours)
                await item.ended.wait()
        except TimeoutError:
            _kill(process)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(item.ended.wait(), _PATIENCE)
            return -1, f"Health check exceeded timeout ({timeout:g}s)"
        finally:
            if process is not None:
                os.close(process)
    return item.exit_code or 0, output


def _open_process(pid: int) -> int | None:
    """Return a descriptor of a process, which stays its own; None if it has ended already."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _kill(process: int | None) -> None:
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)


async def _read_output(connection: socket.socket) -> str:
    """Return the beginning of what comes, when it has ended."""
    reader, writer = await asyncio.open_connection(sock=connection)
    kept = b""
    try:
        while header := await _read_header(reader):
            remaining = int.from_bytes(header[4:], "big")
            while remaining and (data := await reader.read(min(remaining, 65536))):
                remaining -= len(data)
                kept += data[: _KEPT_OUTPUT + 1 - len(kept)]
    finally:
        writer.close()
    text = kept[:_KEPT_OUTPUT].decode(errors="replace")
    return f"{text}..." if len(kept) > _KEPT_OUTPUT else text


async def _read_header(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readexactly(_HEADER)
    except asyncio.IncompleteReadError:
        return b""
