"""Execs: create, start, inspect and resize."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import msgspec

from cellcrate_runtime.engine.api.app import Handler, Route
from cellcrate_runtime.engine.errors import BadRequestError, EngineError
from cellcrate_runtime.engine.exec_config import ExecConfig
from cellcrate_runtime.engine.execs import Exec

__all__ = ["routes"]

_STDERR = 2


class Create(Handler):
    """``POST /containers/{id}/exec``."""

    def post(self, name: str) -> None:
        """Prepare a program to be started."""
        container = self.engine.containers.get(name)
        created = self.engine.execs.create(container, self.body(ExecConfig))
        self.write_json({"Id": created.id}, 201)


class _StartRequest(msgspec.Struct, rename="pascal"):
    detach: bool = False
    tty: bool = False
    console_size: tuple[int, int] | None = None


class Start(Handler):
    """``POST /exec/{id}/start``."""

    async def post(self, exec_id: str) -> None:
        """Start the program; unless detached, the connection becomes its streams."""
        item = self.engine.execs.get(exec_id)
        request = self.body(_StartRequest)
        self.engine.execs.check_startable(item)
        if request.console_size is not None:
            item.config.console_size = request.console_size
        if request.detach:
            await self.engine.execs.start(item)
            self.clear_header("Content-Type")
            self.finish()
            return
        self._stream_kind = "raw" if item.config.tty else "multiplexed"
        client, early = self.hijack()
        try:
            await self.engine.execs.start(item, client, early)
        except EngineError as error:
            # The connection carries the program's streams from here on, so it is told there.
            _say(client, error.message, framed=not item.config.tty)
        finally:
            os.close(client)


def _say(client: int, message: str, framed: bool) -> None:
    data = f"{message}\r\n".encode()
    head = bytes((_STDERR, 0, 0, 0)) + len(data).to_bytes(4, "big") if framed else b""
    with contextlib.suppress(OSError):  # the client has gone; nobody is left to be told
        os.write(client, head + data)  # far less than an empty socket's buffer takes


class Inspect(Handler):
    """``GET /exec/{id}/json``."""

    async def get(self, exec_id: str) -> None:
        """Describe an exec."""
        item = self.engine.execs.get(exec_id)
        await item.settle()
        self.write_json(_description(item))


def _description(item: Exec) -> dict[str, Any]:
    config = item.config
    return {
        "ID": item.id,
        "Running": item.running,
        "ExitCode": item.exit_code,
        "ProcessConfig": {
            "tty": config.tty,
            "entrypoint": config.cmd[0],
            "arguments": config.cmd[1:],
            "privileged": config.privileged,
            "user": config.user,
        },
        "OpenStdin": config.attach_stdin,
        "OpenStderr": config.attach_stderr,
        "OpenStdout": config.attach_stdout,
        "CanRemove": item.exit_code is not None,
        "ContainerID": item.container.id,
        "DetachKeys": config.detach_keys,
        "Pid": item.pid,
    }


class Resize(Handler):
    """``POST /exec/{id}/resize``."""

    async def post(self, exec_id: str) -> None:
        """Change the size of the terminal."""
        item = self.engine.execs.get(exec_id)
        width, height = self.query_int("w"), self.query_int("h")
        if width is None or height is None or not 0 <= width < 65536 or not 0 <= height < 65536:
            raise BadRequestError("resize needs w and h: characters, from 0 to 65535")
        await self.engine.execs.resize(item, width, height)
        self.set_status(200)
        self.clear_header("Content-Type")
        self.finish()


def routes() -> list[Route]:
    """Return the paths of this module."""
    return [
        (r"/containers/(?P<name>[^/]+)/exec", Create, {}),
        (r"/exec/(?P<exec_id>[^/]+)/start", Start, {}),
        (r"/exec/(?P<exec_id>[^/]+)/json", Inspect, {}),
        (r"/exec/(?P<exec_id>[^/]+)/resize", Resize, {}),
    ]
