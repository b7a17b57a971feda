"""Traces of starts: who asks for one, and where it is.

A trace is asked for by an annotation, which is what the OCI specifications have for telling a
runtime something that they do not know. Unlike a label it is not inherited from an image, so nobody
else's image makes a container slower, and engines that know nothing of traces hand it on unread.
Source: OCI runtime-spec 1.2, config.md, "Annotations"; Docker Engine API, HostConfig.Annotations.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from cellcrate_runtime.engine.api.types import HostConfig
from cellcrate_runtime.engine.container import Container
from cellcrate_runtime.engine.errors import BadRequestError, ConflictError
from cellcrate_runtime.engine.runtimes import EMBEDDED

__all__ = ["ANNOTATION", "check", "file_for", "is_wanted", "read"]

ANNOTATION = "org.cellcrate.trace"

_FILE = "trace.json"
_MEANINGS = {"true": True, "1": True, "false": False, "0": False}


def is_wanted(host: HostConfig) -> bool:
    """Whether a container's starts shall be traced."""
    return _MEANINGS.get(host.annotations.get(ANNOTATION, "false"), False)


def check(host: HostConfig) -> None:
    """See that a trace can be had, if one is asked for.

    Raises:
        BadRequestError: The annotation says neither yes nor no, or strace is missing.
    """
    given = host.annotations.get(ANNOTATION, "false")
    if given not in _MEANINGS:
        raise BadRequestError(f"the annotation {ANNOTATION}={given} must be true or false")
    if not is_wanted(host) or host.runtime in ("", EMBEDDED):
        return
    if shutil.which("strace") is None:
        raise BadRequestError(
            f"the runtime {host.runtime} can be traced by strace alone, which is not installed. "
            f"apt-get install strace, or use --runtime {EMBEDDED}"
        )


def file_for(container: Container) -> Path | None:
    """Where the next start's trace is to be written; None if nobody wants one."""
    return container.folder / _FILE if is_wanted(container.host_config) else None


def read(container: Container) -> bytes:
    """Return the trace of a container's last start, as JSON.

    Raises:
        ConflictError: It was not traced, or has not been started.
    """
    file = file_for(container)
    if file is None:
        raise ConflictError(
            f"the start of container {container.name} was not traced, and what is over cannot be "
            f"watched. Create it with docker run --annotation {ANNOTATION}=true"
        )
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise ConflictError(
            f"container {container.name} has not been started yet, so there is nothing to see"
        ) from None
