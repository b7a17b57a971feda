"""A request is carried out: in the cell, or in the background."""

from __future__ import annotations

from typing import Any

from cellcrate import connection
from cellcrate.cells.foreground import run_in_cell, start_in_background
from cellcrate.cells.request import Request

__all__ = ["run"]


def run(request: Request) -> Any:
    """Run a container.

    Returns:
        A container object with --detach; the Outcome with --no-raise-error; None otherwise.
    """
    engine = connection.engine()
    if request.detach:
        from cellcrate.widgets.container import open_container

        return open_container(engine, start_in_background(engine, request))
    outcome = run_in_cell(engine, request)
    return None if request.raise_error else outcome
