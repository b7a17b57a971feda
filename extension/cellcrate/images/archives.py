"""Images become archives, and archives images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from cellcrate.cells.link import Link
from cellcrate.errors import CellcrateError, EngineError
from cellcrate.explain import engine_errors
from cellcrate.http import checked, get_stream, json_stream, post_stream

__all__ = ["load", "save"]

_PIECE = 256 * 1024


def save(link: Link, names: list[str], file: Path) -> None:
    """Write images to an archive, which is there whole or not at all.

    Raises:
        EngineError: There is no such image.
        CellcrateError: The file cannot be written.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as output:
            link.ask(_fetch, names, output)
        part.replace(file)
    except OSError as error:
        raise CellcrateError(f"{file} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)


def _fetch(api: object, names: list[str], output: IO[bytes]) -> None:
    # Asked a second time, after the engine was away, it begins again.
    output.seek(0)
    output.truncate()
    url = f"{api.base_url}/v{api.api_version}/images/get"  # type: ignore[attr-defined]
    response = checked(get_stream(api, url, {"names": names}))
    try:
        for chunk in response.raw.stream(_PIECE):
            output.write(chunk)
    finally:
        response.close()


def load(link: Link, file: Path) -> list[str]:
    """Read the images of an archive; return what the engine says of them.

    Raises:
        EngineError: It is no such archive.
        CellcrateError: The file cannot be read.
    """
    try:
        source = file.open("rb")
    except OSError as error:
        raise CellcrateError(f"{file} cannot be read: {error.strerror}.") from None
    with source, engine_errors():
        headers = {"Content-Type": "application/x-tar"}
        response = post_stream(link.engine.api, "images/load", source, {"quiet": 1}, headers)
        try:
            said = []
            for message in json_stream(response):
                if "error" in message:
                    raise EngineError(f"{file} was not loaded: {message['error']}")
                said.append(str(message.get("stream") or message.get("status") or "").strip())
        finally:
            response.close()
    return [line for line in said if line]
