"""``%container cp``: files go into a container and come out of it."""

from __future__ import annotations

from pathlib import Path

from cellcrate.commands.command import Command, link, options, switch
from cellcrate.errors import UsageError
from cellcrate.options import Parsed

__all__ = ["COMMANDS"]


def _copy(parsed: Parsed) -> None:
    # Archives take a while to import, and loading the extension imports every command.
    from cellcrate.cells.copying import Place, copy_in, copy_out

    if len(parsed.words) != 2:
        raise UsageError(
            "%container cp needs two paths: CONTAINER:/PATH FILE or FILE CONTAINER:/PATH."
        )
    source, target = (Place(*_split(word)) for word in parsed.words)
    if bool(source.container) == bool(target.container):
        raise UsageError("%container cp copies between a container and this machine: NAME:/PATH.")
    if source.container:
        link().ask(lambda api: copy_out(api, source, Path(target.path).expanduser(), target.path))
    else:
        link().ask(lambda api: copy_in(api, Path(source.path).expanduser(), source.path, target))


def _split(text: str) -> tuple[str, str]:
    # A path of this machine that holds a colon is written ./name or /name.
    container, colon, path = text.partition(":")
    if not colon or text.startswith((".", "/", "~")):
        return "", text
    return container, path


COMMANDS = (
    Command(
        name="cp",
        usage="CONTAINER:/PATH FILE | FILE CONTAINER:/PATH",
        summary="Copy files and folders into a container, or out of it.",
        groups=options(switch("--quiet", "As always here: no progress is shown.", "-q")),
        words=("container-path",),
        run=_copy,
    ),
)
