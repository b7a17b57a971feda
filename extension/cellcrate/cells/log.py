"""A container's log is shown, both streams apart."""

from __future__ import annotations

from typing import Any

from cellcrate.cells.streams import Demultiplexer, Printer, beyond
from cellcrate.http import container_url, get_stream

__all__ = ["show_log"]

_CHUNK = 64 * 1024


def show_log(
    api: Any, container: str, parameters: dict[str, Any], *, tty: bool, printer: Printer
) -> None:
    """Show a log, but for what the printer has shown before: a second call goes on.

    Args:
        api: docker-py's low-level client.
        container: The container's name or id.
        parameters: Those of ContainerLogs in the Docker Engine API.
        tty: Whether the container has a terminal.
        printer: Shows it.
    """
    demultiplexer, seen = Demultiplexer(tty=tty), dict(printer.shown)
    wanted = {"stdout": 1, "stderr": 1, **parameters}
    response = get_stream(api, container_url(api, container, "logs"), wanted)
    try:
        for chunk in response.raw.stream(_CHUNK):
            printer.show(beyond(demultiplexer.feed(chunk), seen))
            printer.flush()
    finally:
        response.close()
