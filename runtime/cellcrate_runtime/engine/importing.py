"""Making an image of an archive of files: ``docker import``.

Source: moby, daemon/images/image_import.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.errors import BadRequestError, NotServedError
from cellcrate_runtime.engine.own_threads import Fed
from cellcrate_runtime.images import Execution, Image
from cellcrate_runtime.images.architecture import machine_architecture
from cellcrate_runtime.images.documents import Platform
from cellcrate_runtime.images.import_archive import import_archive
from cellcrate_runtime.images.references import Reference

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["begin_import", "parse_platform"]

_THE_BODY = "-"


def begin_import(
    engine: Engine,
    source: str,
    name: Reference | None,
    *,
    changes: Sequence[str],
    message: str,
    platform: str,
) -> Fed[Image]:
    """Begin to make an image of an archive, which the caller hands on as it arrives.

    Args:
        engine: The engine.
        source: ``-`` for what the client sends; else where it should be fetched from.
        name: The image's name; None for none.
        changes: Instructions of a Dockerfile that say how its containers run.
        message: What its history says; empty for where it came from.
        platform: What machine it is for; empty for this one.

    Raises:
        NotServedError: The archive is somewhere else.
        BadRequestError: The platform is none.
        DockerfileError: A change is none.
    """
    if source != _THE_BODY:
        raise NotServedError(
            f"importing from {source}", "Fetch the file, and import that: docker import FILE NAME"
        )
    # Imported for those who import: the language of Dockerfiles takes a moment.
    from cellcrate_runtime.images.configuring import configured

    execution = configured(Execution(), list(changes))
    machine = parse_platform(platform)
    created = timestamps.format_rfc3339(timestamps.now())

    def work(archive: BinaryIO) -> Image:
        return import_archive(
            engine.images,
            archive,
            name,
            execution=execution,
            platform=machine,
            created=created,
            comment=message or f"Imported from {source}",
        )

    return Fed(work)


def parse_platform(text: str) -> Platform:
    """Read ``os[/architecture[/variant]]``; what is not said is this machine's.

    Raises:
        BadRequestError: It is no platform, or one for which nothing can be made here.
    """
    system, *rest = text.lower().split("/") if text else ["linux"]
    if len(rest) > 2 or not all([system, *rest]):
        raise BadRequestError(f'"{text}" is an invalid OS/architecture: write linux/amd64')
    if system != "linux":
        raise BadRequestError(f'"{text}": operating system is not supported, only linux is')
    return Platform(
        os=system,
        architecture=rest[0] if rest else machine_architecture(),
        variant=rest[1] if len(rest) > 1 else None,
    )
