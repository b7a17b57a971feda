"""Traces of starts, fetched by a request that Cellcrate's engine alone has.

``GET /containers/{id}/trace`` answers with what was done, where a trace was asked for by an
annotation when the container was created (``%%container --trace``).
"""

from __future__ import annotations

import sys
from typing import Any

from cellcrate.cells.link import Link
from cellcrate.errors import EngineError
from cellcrate.http import checked, container_url
from cellcrate.widgets.trace import Trace

__all__ = ["fetch", "show"]

CONFLICT = 409
#: What engines answer to a request that they do not know.
UNKNOWN = (404, 405, 501)


def fetch(link: Link, container: str) -> Trace:
    """Return the trace of a container's last start.

    Raises:
        EngineError: There is no such container, its start was not traced, or the engine keeps no
            traces.
    """
    details = link.ask(lambda api: api.inspect_container(container))
    try:
        document = link.ask(_document, details["Id"])
    except EngineError as error:
        if error.status == CONFLICT:
            raise EngineError(f"{error} In a notebook: %%container --trace.", CONFLICT) from None
        # The container is there: it is the request that the engine does not know.
        if error.status in UNKNOWN:
            raise EngineError(_no_traces(link), error.status) from None
        raise
    return Trace.of(str(details["Name"]).lstrip("/"), details["Id"], document)


def _document(api: Any, container: str) -> dict[str, Any]:
    document: dict[str, Any] = checked(api.get(container_url(api, container, "trace"))).json()
    return document


def _no_traces(link: Link) -> str:
    return (
        f"The engine at {link.engine.address} keeps no traces of starts: Docker and Podman have no "
        "such request. %env CELLCRATE_HOST=embedded lets the cells that follow run in Cellcrate's "
        "own engine, which also traces runc and crun (--runtime runc --trace)."
    )


def show(link: Link, container: str) -> None:
    """Show a container's trace below its cell; that there is none is said, and no error."""
    from IPython.display import display

    try:
        display(fetch(link, container))
    except EngineError as error:
        print(error, file=sys.stderr)
