"""The commands of ``%container`` and of ``%image``."""

from __future__ import annotations

from cellcrate.commands import (
    changes,
    files,
    looking,
    output,
    running,
    runtimes,
    statistics,
    trace,
)
from cellcrate.commands.family import Family
from cellcrate.commands.images import archives, building, listing, login, naming, transfer

__all__ = ["CONTAINER", "IMAGE"]

CONTAINER = Family(
    magic="%container",
    usage="[CONTAINER...]",
    summary="Look at containers and act on them, in docker's words.",
    closing="%%container, with two signs, runs a cell.",
    commands=(
        *looking.COMMANDS,
        *statistics.COMMANDS,
        *output.COMMANDS,
        *running.COMMANDS,
        *changes.COMMANDS,
        *files.COMMANDS,
        *runtimes.COMMANDS,
        *trace.COMMANDS,
    ),
    elsewhere=("run",),
)

IMAGE = Family(
    magic="%image",
    usage="[IMAGE...]",
    summary="Look at images and act on them, in docker's words.",
    closing="%%image, with two signs, builds the Dockerfile in the cell.",
    commands=(
        *listing.COMMANDS,
        *building.COMMANDS,
        *transfer.COMMANDS,
        *naming.COMMANDS,
        *archives.COMMANDS,
        *login.COMMANDS,
    ),
    elsewhere=("build",),
)
