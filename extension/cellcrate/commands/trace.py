"""``%container trace``: what a runtime did to start a container, or two of them side by side."""

from __future__ import annotations

from cellcrate.commands.command import Command, link
from cellcrate.errors import UsageError
from cellcrate.options import Parsed
from cellcrate.traces import fetch
from cellcrate.widgets.comparison import Comparison
from cellcrate.widgets.trace import Trace

__all__ = ["COMMANDS"]


def _trace(parsed: Parsed) -> Trace | Comparison:
    if len(parsed.words) not in (1, 2):
        raise UsageError(
            "%container trace needs the name of one container, or of two to be compared. They are "
            "those of %%container --trace."
        )
    to_engine = link()
    found = [fetch(to_engine, name) for name in parsed.words]
    return found[0] if len(found) == 1 else Comparison(*found)


COMMANDS = (
    Command(
        name="trace",
        usage="CONTAINER [CONTAINER]",
        summary="Show what the runtime did to start a container (--trace), or compare two.",
        words=("container",),
        run=_trace,
    ),
)
