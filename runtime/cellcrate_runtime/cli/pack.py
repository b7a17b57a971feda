"""``cellcrate image pack``: an image out of programs that this machine has."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.cli.image import errors_for_people, open_store
from cellcrate_runtime.cli.words import size
from cellcrate_runtime.images import Image, ImageStore
from cellcrate_runtime.images.packer.base import pack_base
from cellcrate_runtime.images.packer.programs import Addition, Request, pack

__all__ = ["run"]

USAGE = 2


def run(options: argparse.Namespace) -> int:
    """Pack what the options name."""
    if options.repack_base and (options.programs or options.add or options.base):
        raise CommandError("--base packs the base image and nothing else: use --from.", USAGE)
    with errors_for_people():
        image = _pack(open_store(), options)
    if options.quiet:
        print(image.id)
    else:
        print(f"Packed {', '.join(image.repo_tags)}: {image.short_id}, {size(image.size)}")
    return 0


def _pack(store: ImageStore, options: argparse.Namespace) -> Image:
    if options.repack_base:
        return pack_base(store, _silent if options.quiet else _say)
    request = Request(
        programs=options.programs,
        additions=[_addition(text) for text in options.add],
        base=options.base,
        tag=options.tag,
        entrypoint=_words("--entrypoint", options.entrypoint),
        cmd=_words("--cmd", options.cmd),
        env=options.env,
        workdir=options.workdir,
    )
    return pack(store, request)


def _addition(text: str) -> Addition:
    source, colon, name = text.rpartition(":")
    return Addition(Path(source), name) if colon else Addition(Path(text))


def _words(option: str, text: str | None) -> list[str] | None:
    """Split a command into words: a JSON list, or as a shell would."""
    if text is None:
        return None
    try:
        words = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise CommandError(f"{option} {text}: {error}", USAGE) from error
    if not all(isinstance(word, str) for word in words):
        raise CommandError(f"{option} {text}: every item of the list must be a text.", USAGE)
    return list(words)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _silent(_: str) -> None:
    pass
