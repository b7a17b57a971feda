"""A container comes into being: its image is there, its name is free, its script is in place."""

from __future__ import annotations

import contextlib
from typing import Any

from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.link import Link
from cellcrate.cells.request import Request
from cellcrate.cells.script import archive
from cellcrate.connection import Engine
from cellcrate.errors import ContainerInterrupted, EngineError
from cellcrate.explain import engine_errors, translate
from cellcrate.images.transfer import pull

__all__ = ["create", "remove"]

NOT_FOUND = 404


def create(link: Link, request: Request, interrupts: Interrupts) -> str:
    """Create a container and return its id. Where a step fails, nothing is left behind.

    Raises:
        ContainerInterrupted: The stop button was pressed.
        EngineError: The engine refuses.
    """
    if request.replace:
        remove(link, request.name)
    if request.pull == "always":
        _fetch(link.engine, request, interrupts)
    container = _create(link.engine, request, interrupts)
    try:
        if request.file is not None:
            content = archive(request.file)
            link.ask(lambda api: api.put_archive(container, "/", content))
        if interrupts.pending:
            raise ContainerInterrupted("The container was removed before its start.")
    except BaseException:
        remove(link, container)
        raise
    return container


def _fetch(engine: Engine, request: Request, interrupts: Interrupts) -> None:
    try:
        with interrupts.raising():
            pull(engine, request.image, quiet=request.quiet, platform=request.platform)
    except KeyboardInterrupt:
        raise ContainerInterrupted(f"The image {request.image} was not fetched.") from None


def _create(engine: Engine, request: Request, interrupts: Interrupts) -> str:
    from docker.errors import ImageNotFound

    try:
        return _post(engine, request)
    except ImageNotFound:
        if request.pull == "never":
            raise EngineError(
                f"The engine has no image {request.image}, and --pull never forbids to fetch it.",
                NOT_FOUND,
            ) from None
    _fetch(engine, request, interrupts)
    with engine_errors():
        return _post(engine, request)


def _post(engine: Engine, request: Request) -> str:
    from docker.errors import ImageNotFound

    try:
        answer = engine.api.create_container_from_config(
            request.body, request.name or None, request.platform
        )
    except ImageNotFound:
        raise
    except Exception as error:
        raise translate(error) or error from None
    container: str = answer["Id"]
    return container


def remove(link: Link, container: str) -> None:
    """Remove a container, running or not; one that is gone already is as good.

    Raises:
        EngineError: The engine cannot remove it.
    """
    link.ask(lambda api: _remove(api, container))


def _remove(api: Any, container: str) -> None:
    from docker.errors import NotFound

    with contextlib.suppress(NotFound):
        api.remove_container(container, v=True, force=True)
