"""``cellcrate image``: the store of images, worked on directly; no engine is needed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from cellcrate_runtime.cli.errors import CommandError
from cellcrate_runtime.cli.words import ago, size, table
from cellcrate_runtime.images import Image, ImageError, ImageStore
from cellcrate_runtime.images.documents import History
from cellcrate_runtime.paths import Paths

__all__ = [
    "errors_for_people",
    "history",
    "inspect",
    "load",
    "ls",
    "open_store",
    "rm",
    "save",
    "tag",
]


@contextlib.contextmanager
def errors_for_people() -> Iterator[None]:
    """Turn what images and files fail with into a message of the command."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ImageError, OSError) as error:
        raise CommandError(str(error)) from error


def open_store() -> ImageStore:
    """The store that the environment names."""
    paths = Paths.from_environment()
    paths.make()
    return ImageStore(paths.images)


def ls(options: argparse.Namespace) -> int:
    """List the images, a line for each name."""
    with errors_for_people():
        images = open_store().images()
    if options.json:
        print(json.dumps([_described(image) for image in images]))
    elif options.quiet:
        for image in images:
            print(_id(image, options.no_trunc))
    else:
        rows = [
            [*name, _id(image, options.no_trunc), ago(image.created_at), size(image.size)]
            for image in images
            for name in _names(image)
        ]
        print(table(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], rows))
    return 0


def rm(options: argparse.Namespace) -> int:
    """Remove images; go on with the others if one cannot be removed."""
    with errors_for_people():
        store = open_store()
    failed = False
    for reference in options.images:
        try:
            with errors_for_people():
                removals = store.remove(reference, force=options.force)
        except CommandError as error:
            print(f"cellcrate: {error}", file=sys.stderr)
            failed = True
            continue
        for removal in removals:
            untagged = removal.untagged
            print(f"Untagged: {untagged}" if untagged else f"Deleted: {removal.deleted}")
    return 1 if failed else 0


def save(options: argparse.Namespace) -> int:
    """Write images to an archive; a file is there whole or not at all."""
    with errors_for_people():
        store = open_store()
        if options.output:
            _save_whole(store, options.images, Path(options.output))
            return 0
        if sys.stdout.isatty():
            raise CommandError(
                "an archive is nothing for a terminal: use --output FILE, or a pipe.", status=2
            )
        store.save(options.images, sys.stdout.buffer)
    return 0


def load(options: argparse.Namespace) -> int:
    """Read images from an archive."""
    with errors_for_people():
        store = open_store()
        with _input(options.input) as source:
            loaded = store.load(source)
    for item in loaded:
        if item.reference:
            print(f"Loaded image: {item.reference}")
        else:
            print(f"Loaded image ID: {item.image_id}")
    return 0


def tag(options: argparse.Namespace) -> int:
    """Give an image another name."""
    with errors_for_people():
        open_store().tag(options.source, options.target)
    return 0


def inspect(options: argparse.Namespace) -> int:
    """Print all that is known of images."""
    with errors_for_people():
        store = open_store()
        images = [store.get(reference) for reference in options.images]
    print(json.dumps([_described(image) for image in images], indent=4))
    return 0


def history(options: argparse.Namespace) -> int:
    """Print the steps that an image came about by, newest first."""
    with errors_for_people():
        store = open_store()
        image = store.get(options.image)
        steps = store.history(image)
    rows = [[ago(line.created_at), size(line.size), _shown(line.step)] for line in steps]
    print(table(["CREATED", "SIZE", "CREATED BY"], rows))
    return 0


def _shown(step: History) -> str:
    """What a step did, in one line."""
    return " ".join((step.created_by or step.comment or "").split())


def _names(image: Image) -> list[tuple[str, str]]:
    named = [(ref.familiar_name, ref.tag) for ref in image.references if ref.tag]
    return [(name, tag) for name, tag in named if tag] or [("<none>", "<none>")]


def _id(image: Image, whole: bool) -> str:
    return image.id if whole else image.short_id


def _described(image: Image) -> dict[str, Any]:
    """An image in the words of ``docker inspect``."""
    return {
        "Id": image.id,
        "RepoTags": image.repo_tags,
        "RepoDigests": image.repo_digests,
        "Created": image.created,
        "Architecture": image.config.architecture,
        "Os": image.config.os,
        "Size": image.size,
        "Config": msgspec.to_builtins(image.config.execution),
        "RootFS": {"Type": image.config.rootfs.type, "Layers": image.diff_ids},
    }


def _save_whole(store: ImageStore, references: list[str], target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            store.save(references, file)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _input(name: str | None) -> Iterator[BinaryIO]:
    if name:
        with open(name, "rb") as file:
            yield file
    elif sys.stdin.isatty():
        raise CommandError("there is no archive on a terminal: use --input FILE, or a pipe.", 2)
    else:
        yield sys.stdin.buffer
