"""From the text of ``-v``, ``--mount`` and ``--tmpfs`` to what the Docker Engine API wants."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from cellcrate.options.values import size

__all__ = ["mount", "tmpfs", "volume"]

_FORMS = "Write FOLDER:/PATH or FOLDER:/PATH:ro."


def volume(text: str) -> str:
    """Read ``[SOURCE:]TARGET[:OPTIONS]``.

    No shell stands between a magic's line and this function, so it does what a shell and docker's
    command line do together: a source that starts with ``~`` or ``.`` becomes an absolute path.
    """
    source, colon, rest = text.partition(":")
    if not colon:
        if not source.startswith("/"):
            raise ValueError(f"{text!r} names no path in the container. {_FORMS}")
        return source
    target = rest.partition(":")[0]
    if not source or not target.startswith("/"):
        raise ValueError(f"{text!r}: the path in the container has to start with /. {_FORMS}")
    return f"{_absolute(source)}:{rest}"


def _absolute(source: str) -> str:
    if source.startswith("~"):
        return str(Path(source).expanduser())
    if source.startswith("."):
        return str(Path(source).resolve())
    return source


def tmpfs(text: str) -> tuple[str, str]:
    """Read ``PATH[:OPTIONS]``."""
    path, _, options = text.partition(":")
    if not path.startswith("/"):
        raise ValueError(f"{text!r} is no path in the container. Write /PATH or /PATH:size=64m.")
    return path, options


def mount(text: str) -> dict[str, Any]:
    """Read ``type=bind,source=/FOLDER,target=/PATH,readonly`` and its like.

    The fields are those of docker's reference, "docker container run", section "--mount".
    """
    fields = {name.lower(): value for name, value in _fields(text)}
    body: dict[str, Any] = {"Type": fields.pop("type", "volume")}
    target = _first(fields, "target", "destination", "dst")
    if not target.startswith("/"):
        raise ValueError(f"{text!r} needs target=/PATH, a path in the container.")
    body["Target"] = target
    source = _first(fields, "source", "src")
    if source:
        body["Source"] = _absolute(source)
    if _first(fields, "readonly", "ro") not in ("", "false", "0"):
        body["ReadOnly"] = True
    _details(body, fields)
    if fields:
        raise ValueError(f"{text!r}: {', '.join(fields)} is no field of a {body['Type']} mount.")
    return body


def _fields(text: str) -> list[tuple[str, str]]:
    fields = []
    for item in next(csv.reader([text]), []):
        name, equals, value = item.partition("=")
        fields.append((name, value if equals else "true"))
    return fields


def _first(fields: dict[str, str], *names: str) -> str:
    found = [fields.pop(name) for name in names if name in fields]
    return found[0] if found else ""


def _details(body: dict[str, Any], fields: dict[str, str]) -> None:
    kind = body["Type"]
    if kind == "bind" and "bind-propagation" in fields:
        body["BindOptions"] = {"Propagation": fields.pop("bind-propagation")}
    if kind == "volume" and "volume-nocopy" in fields:
        body["VolumeOptions"] = {"NoCopy": fields.pop("volume-nocopy") != "false"}
    if kind == "tmpfs":
        options: dict[str, int] = {}
        if "tmpfs-size" in fields:
            options["SizeBytes"] = size(fields.pop("tmpfs-size"))
        if "tmpfs-mode" in fields:
            options["Mode"] = _octal(fields.pop("tmpfs-mode"))
        if options:
            body["TmpfsOptions"] = options


def _octal(text: str) -> int:
    try:
        return int(text, 8)
    except ValueError:
        raise ValueError(f"{text!r} is not an octal mode, such as 1770.") from None
