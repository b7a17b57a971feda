"""Commands that make images of files, and files of images: save, load, pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellcrate.commands.command import Command, each_image, link, options, switch
from cellcrate.errors import UsageError
from cellcrate.options import Option, Parsed

__all__ = ["COMMANDS"]


def _save(parsed: Parsed) -> None:
    from cellcrate.images.archives import save

    names = each_image(parsed, "save")
    if "output" not in parsed:
        raise UsageError("%image save needs a file: %image save -o FILE IMAGE.")
    save(link(), names, Path(parsed.get("output")).expanduser())


def _load(parsed: Parsed) -> None:
    from cellcrate.images.archives import load

    if parsed.words or "input" not in parsed:
        raise UsageError("%image load needs a file: %image load -i FILE.")
    for line in load(link(), Path(parsed.get("input")).expanduser()):
        print(line)


def _pack(parsed: Parsed) -> Any:
    from cellcrate.images.packing import pack
    from cellcrate.images.view import open_image

    if parsed.before_dashes:
        if parsed.before_dashes > 1 or "tag" in parsed:
            raise UsageError("%image pack takes one name: %image pack hello -- bash.")
        parsed.values["tag"] = parsed.words.pop(0)
    if not parsed.words and not parsed.get("add"):
        raise UsageError("%image pack needs a program of this machine: %image pack hello -- bash.")
    engine = link().engine
    packed = pack(engine, parsed)
    if parsed.on("quiet"):
        print(packed)
        return None
    return open_image(engine, packed, parsed.get("tag", ""))


_PACK = (
    Option(long="--tag", short="-t", metavar="NAME[:TAG]", help="The image's name."),
    Option(
        long="--add",
        metavar="SOURCE[:PATH]",
        repeat=True,
        complete="path",
        help="A file or folder; by default it goes into the working folder under its own name.",
    ),
    Option(
        long="--from",
        metavar="IMAGE",
        complete="image",
        help="The image to build upon.",
    ),
    Option(
        long="--entrypoint",
        metavar="WORDS",
        help="What containers run. Default: the first program.",
    ),
    Option(
        long="--cmd",
        metavar="WORDS",
        help="What they run, or its arguments, where none are given.",
    ),
    Option(long="--env", short="-e", metavar="NAME=VALUE", repeat=True, help="Set a variable."),
    Option(long="--workdir", short="-w", metavar="PATH", help="The folder to start in."),
    switch("--quiet", "Print the image's id alone.", "-q"),
)

COMMANDS = (
    Command(
        name="save",
        usage="IMAGE...",
        summary="Write images to an archive, which docker, podman and %image load read.",
        groups=options(
            Option(
                long="--output",
                short="-o",
                metavar="FILE",
                complete="path",
                help="The archive to write; it is there whole, or not at all.",
            )
        ),
        words=("image",),
        run=_save,
    ),
    Command(
        name="load",
        summary="Read images from an archive that docker, podman or %image save wrote.",
        groups=options(
            Option(
                long="--input",
                short="-i",
                metavar="FILE",
                complete="path",
                help="The archive to read.",
            ),
            switch("--quiet", "As always here: no progress is shown.", "-q"),
        ),
        words=("path",),
        run=_load,
    ),
    Command(
        name="pack",
        usage="[NAME[:TAG] --] PROGRAM...",
        summary="Make an image out of programs of this machine, with the libraries they need.",
        groups=options(*_PACK),
        words=("program",),
        run=_pack,
    ),
)
