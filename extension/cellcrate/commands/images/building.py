"""``%image build``: an image out of a folder with a Dockerfile."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import Command
from cellcrate.options import Parsed
from cellcrate.options.build import BUILD_GROUPS

__all__ = ["COMMANDS"]


def _build(parsed: Parsed) -> Any:
    from cellcrate.images.building.request import folder_build
    from cellcrate.images.building.running import build

    return build(folder_build(parsed))


COMMANDS = (
    Command(
        name="build",
        usage="FOLDER",
        summary="Build the Dockerfile of a folder; %%image builds the one in its cell.",
        groups=BUILD_GROUPS,
        words=("path",),
        run=_build,
    ),
)
