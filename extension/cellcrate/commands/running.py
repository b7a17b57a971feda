"""``%container run``: a container without a cell."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import Command
from cellcrate.options import Parsed
from cellcrate.options.run import RUN_GROUPS

__all__ = ["COMMANDS"]


def _run(parsed: Parsed) -> Any:
    from cellcrate.cells.request import run_request
    from cellcrate.cells.running import run

    return run(run_request(parsed, RUN_GROUPS))


COMMANDS = (
    Command(
        name="run",
        usage="IMAGE [COMMAND] [ARGUMENT...]",
        summary="Run an image's own command, or another; no cell is needed.",
        groups=RUN_GROUPS,
        words=("image", ""),
        mixed=False,
        run=_run,
    ),
)
