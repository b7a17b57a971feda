"""Commands that name images and take them away: tag, rm, prune."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import (
    Command,
    each_image,
    filter_option,
    filters,
    for_each,
    link,
    options,
    switch,
)
from cellcrate.errors import UsageError
from cellcrate.images.names import split_reference
from cellcrate.options import Parsed
from cellcrate.widgets.words import human_size

__all__ = ["COMMANDS"]


def _tag(parsed: Parsed) -> None:
    if len(parsed.words) != 2:
        raise UsageError("%image tag needs two names: an image, and the name that it gets, too.")
    source, target = parsed.words
    repository, tag = split_reference(target)
    link().ask(lambda api: api.tag(source, repository, tag))


def _rm(parsed: Parsed) -> None:
    force, keep = parsed.on("force"), parsed.on("no_prune")
    for_each(
        each_image(parsed, "rm"),
        lambda api, name: _print(api.remove_image(name, force=force, noprune=keep)),
    )


def _print(removals: list[dict[str, Any]] | None) -> str:
    lines = [f"{word}: {name}" for each in removals or [] for word, name in each.items()]
    return "\n".join(lines)


def _prune(parsed: Parsed) -> None:
    wanted: dict[str, Any] = filters(parsed)
    if parsed.on("all"):
        wanted["dangling"] = ["false"]
    answer = link().ask(lambda api: api.prune_images(wanted))
    removed = _print(answer.get("ImagesDeleted"))
    if removed:
        print(removed)
    print(f"Space won back: {human_size(answer.get('SpaceReclaimed', 0))}")


COMMANDS = (
    Command(
        name="tag",
        usage="IMAGE NAME[:TAG]",
        summary="Give an image one more name.",
        words=("image", "image"),
        run=_tag,
    ),
    Command(
        name="rm",
        aliases=("remove",),
        usage="IMAGE...",
        summary="Take names away; an image goes with its last one.",
        groups=options(
            switch("--force", "Also where stopped containers use it, or it has more names.", "-f"),
            switch("--no-prune", "Keep the nameless images that it was built upon."),
        ),
        words=("image",),
        run=_rm,
    ),
    Command(
        name="prune",
        summary="Remove images that have no name and no container.",
        groups=options(
            switch("--all", "Remove all that no container uses, also those with a name.", "-a"),
            switch("--force", "As always here: nothing asks for confirmation.", "-f"),
            filter_option("Remove what matches: until=24h, label=tier=1."),
        ),
        run=_prune,
    ),
)
