"""A build is carried out in the cell: sent, shown step by step, stopped on demand."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from cellcrate import connection
from cellcrate.cells.interrupts import Interrupts
from cellcrate.cells.link import Link
from cellcrate.connection import Engine
from cellcrate.errors import BuildFailed, BuildInterrupted, EngineError, UsageError
from cellcrate.explain import engine_errors
from cellcrate.http import json_stream, post_stream
from cellcrate.images.building.advice import advice, failure
from cellcrate.images.building.context import NAME, archive
from cellcrate.images.building.record import BuildRecord
from cellcrate.images.building.request import Build
from cellcrate.images.building.view import BuildView, Lines, title
from cellcrate.images.engines import is_cellcrate
from cellcrate.widgets.place import Place, has_front_end

__all__ = ["build"]

#: The header that hands secrets to Cellcrate's own engine: base64url of JSON, {id: base64}.
SECRETS = "X-Cellcrate-Build-Secrets"

#: How long an engine may take to end the step of a build that was stopped, in seconds.
PATIENCE = 10.0

#: How long no container may show, in seconds: one may just be coming into being.
SETTLING = 0.5

#: How many letters of a container's id the stream has.
SHORT_ID = 12


def build(request: Build) -> Any:
    """Build an image and return it; with --quiet, print its id.

    Raises:
        BuildFailed: A step failed.
        BuildInterrupted: The stop button was pressed.
        EngineError: The engine refuses.
        UsageError: A file cannot be sent, or the engine takes no secrets.
    """
    engine = connection.engine()
    link = Link(engine)
    if request.secrets and not is_cellcrate(engine):
        raise UsageError(
            f"The engine at {engine.address} takes no --secret over this API; Cellcrate's own does "
            "(%env CELLCRATE_HOST=embedded). Nothing was built, and no secret was sent."
        )
    record = BuildRecord(request.tags[0] if request.tags else "", request.dockerfile)
    shown = _Shown(record, request)
    before = set(_containers(link))
    with archive(request.dockerfile, request.folder) as context, Interrupts() as interrupts:
        try:
            with interrupts.raising(), engine_errors():
                for message in _messages(engine, request, context):
                    record.take(message)
                    shown.update()
        except KeyboardInterrupt:
            record.interrupt()
            _await_end(link, record, before)
        except EngineError as error:
            record.fail(str(error))
        finally:
            record.end()
            shown.finish()
    return _result(engine, request, record)


def _messages(engine: Engine, request: Build, context: Any) -> Iterator[dict[str, Any]]:
    response = post_stream(engine.api, "build", context, _parameters(request), _headers(request))
    try:
        yield from json_stream(response)
    finally:
        # A builder stops when nobody listens any more.
        response.close()


def _parameters(request: Build) -> dict[str, Any]:
    # Also when nothing is to be shown (--quiet) the engine is to speak: a failure is always shown.
    parameters = {
        "t": list(request.tags),
        "dockerfile": NAME,
        # Containers of steps are removed, also of those that failed.
        "rm": 1,
        "forcerm": 1,
    }
    for name, value in request.parameters.items():
        parameters[name] = json.dumps(value) if isinstance(value, dict) else value
        if isinstance(value, bool):
            parameters[name] = int(value)
    return parameters


def _headers(request: Build) -> dict[str, str]:
    from docker import auth

    headers = {"Content-Type": "application/x-tar"}
    known = auth.load_config()
    if not known.is_empty:
        everything = known.get_all_credentials()
        headers["X-Registry-Config"] = auth.encode_header(everything).decode()
    if request.secrets:
        encoded = {name: base64.b64encode(each).decode() for name, each in request.secrets.items()}
        document = json.dumps(encoded).encode()
        headers[SECRETS] = base64.urlsafe_b64encode(document).decode()
    return headers


def _await_end(link: Link, record: BuildRecord, before: set[str]) -> None:
    """Wait until the engine has removed the container of the step that was stopped."""
    began = last = time.monotonic()
    left: list[str] = []
    with contextlib.suppress(EngineError):  # an engine that is gone has nothing to be cleared up
        while time.monotonic() - last < SETTLING and time.monotonic() - began < PATIENCE:
            left = _of_build(link, record, before)
            if left:
                last = time.monotonic()
            time.sleep(0.05)
        for container in left:
            if container[:SHORT_ID] in record.containers:
                link.ask(_remove, container)


def _of_build(link: Link, record: BuildRecord, before: set[str]) -> list[str]:
    """Return the containers that the build may have made.

    Those that it has told of, and those of a nameless image that are new: the stop may come between
    a container's creation and the message about it.
    """
    return [
        identity
        for identity, image in _containers(link).items()
        if identity not in before
        and (identity[:SHORT_ID] in record.containers or image.startswith("sha256:"))
    ]


def _containers(link: Link) -> dict[str, str]:
    """Return the images of all containers, by the containers' ids."""
    found = link.ask(lambda api: api.containers(all=True))
    return {str(each["Id"]): str(each.get("Image", "")) for each in found}


def _remove(api: Any, container: str) -> None:
    from docker.errors import NotFound

    with contextlib.suppress(NotFound):
        api.remove_container(container, v=True, force=True)


def _result(engine: Engine, request: Build, record: BuildRecord) -> Any:
    if record.state == "interrupted":
        raise BuildInterrupted(f"{title(record)}. Steps that were done stay in the build cache.")
    if record.state == "failed":
        raise BuildFailed(f"{failure(record)} {advice(record)}".strip(), record.line, record.code)
    name = record.image or (request.tags[0] if request.tags else "")
    if request.quiet:
        print(name)
        return None
    from cellcrate.images.view import open_image

    return open_image(engine, name, request.tags[0] if request.tags else "")


class _Shown:
    """Shows a record: changing in place in a notebook, as lines of text elsewhere."""

    def __init__(self, record: BuildRecord, request: Build) -> None:
        self._record = record
        self._silent = request.quiet
        self._place = Place() if has_front_end() and not request.plain else None
        self._lines = Lines(record)

    def update(self) -> None:
        if self._silent:
            return
        if self._place is not None:
            self._place.show(BuildView(self._record))
        else:
            self._print()

    def finish(self) -> None:
        if self._silent and self._record.state != "failed":
            return
        if self._place is not None:
            self._place.show(BuildView(self._record), final=True)
        else:
            self._print()

    def _print(self) -> None:
        for line in self._lines.new():
            print(line, flush=True)
