"""``%image pull`` and ``%image push``: images come from registries and go to them."""

from __future__ import annotations

from typing import Any

from cellcrate.commands.command import Command, each_image, link, options, switch
from cellcrate.options import Option, Parsed

__all__ = ["COMMANDS"]


def _pull(parsed: Parsed) -> Any:
    from cellcrate.images.transfer import pull
    from cellcrate.images.view import open_image

    (name,) = each_image(parsed, "pull", most=1)
    engine, quiet = link().engine, parsed.on("quiet")
    pull(
        engine,
        name,
        quiet=quiet,
        platform=parsed.get("platform"),
        every_tag=parsed.on("all_tags"),
        keep=True,
    )
    if quiet or parsed.on("all_tags"):
        print(name)
        return None
    return open_image(engine, name, name)


def _push(parsed: Parsed) -> None:
    from cellcrate.images.transfer import push

    (name,) = each_image(parsed, "push", most=1)
    push(link().engine, name, quiet=parsed.on("quiet"), every_tag=parsed.on("all_tags"))
    if parsed.on("quiet"):
        print(name)


COMMANDS = (
    Command(
        name="pull",
        usage="NAME[:TAG]",
        summary="Fetch an image from its registry, with one bar for each layer.",
        groups=options(
            switch("--all-tags", "Fetch every tag of the name.", "-a"),
            switch("--quiet", "Show no progress.", "-q"),
            Option(
                long="--platform",
                metavar="PLATFORM",
                help="The platform, such as linux/arm64, where an image has several.",
            ),
        ),
        words=("image",),
        run=_pull,
    ),
    Command(
        name="push",
        usage="NAME[:TAG]",
        summary="Send an image to the registry that its name begins with.",
        groups=options(
            switch("--all-tags", "Send every tag of the name.", "-a"),
            switch("--quiet", "Show no progress.", "-q"),
        ),
        words=("image",),
        run=_push,
    ),
)
