"""A whole build: from a context that has arrived to an image with its names."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.building.arguments import GlobalArguments, source_date_epoch
from cellcrate_runtime.engine.building.base_images import check_platform
from cellcrate_runtime.engine.building.context import read_dockerfile, remove_ignored
from cellcrate_runtime.engine.building.options import BuildOptions
from cellcrate_runtime.engine.building.session import Session
from cellcrate_runtime.engine.building.stages import StageBuilder, base_name
from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.engine.building.telling import Teller
from cellcrate_runtime.engine.building.workspace import Workspace
from cellcrate_runtime.engine.own_threads import entered
from cellcrate_runtime.images import Image, ImageNotFoundError
from cellcrate_runtime.images.dockerfile.instructions import Run
from cellcrate_runtime.images.dockerfile.mounts import mount_origin
from cellcrate_runtime.images.dockerfile.parser import Dockerfile, parse
from cellcrate_runtime.images.dockerfile.stages import find_target, needed_stages
from cellcrate_runtime.images.references import parse as parse_reference

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["build", "prepare"]


async def prepare(options: BuildOptions, workspace: Workspace) -> Dockerfile:
    """Read the Dockerfile of a context that has arrived, and forget what is to be ignored.

    Raises:
        ContextError: There is no Dockerfile.
        DockerfileError: It, or the ignore file, is wrong.
        ImageError: It is for another kind of machine.
    """
    check_platform(options.platform)

    def read() -> Dockerfile:
        found = parse(read_dockerfile(workspace.context, options.dockerfile))
        find_target(found.stages, options.target)
        remove_ignored(workspace.context, options.dockerfile)
        return found

    return await asyncio.to_thread(read)


async def build(
    engine: Engine,
    options: BuildOptions,
    workspace: Workspace,
    dockerfile: Dockerfile,
    say: Teller,
) -> Image:
    """Build an image, and give it its names.

    Args:
        engine: The engine.
        options: What was asked for.
        workspace: The build's folders, with the context.
        dockerfile: What :func:`prepare` read.
        say: Told what the client is to read, in pieces.

    Raises:
        BuildError: A step failed.
        DockerfileError: An instruction makes no sense.
        ImageError: A base image is not to be had, or there is no room.
        EngineError: A container could not be made.
    """
    session = Session(
        id=secrets.token_hex(16),
        engine=engine,
        options=options,
        workspace=workspace,
        dockerfile=dockerfile,
        arguments=GlobalArguments(
            options.arguments, dockerfile.arguments, options.target, dockerfile.escape
        ),
        caches=engine.build_mounts,
        say=say,
        latest=source_date_epoch(options.arguments),
    )
    session.warn(dockerfile.warnings)
    session.cache_images = await asyncio.to_thread(_cache_images, engine, options.cache_from)
    # Nothing that is made is in a table before the image is: nobody may collect it meanwhile.
    async with entered(engine.images.adding()):
        state = await _build_stages(session)
        image = await asyncio.to_thread(_finish, engine, state, options.tags)
    if unused := session.arguments.unused():
        session.warn([f"One or more build-args {unused} were not consumed"])
    return image


async def _build_stages(session: Session) -> StageState:
    stages = session.dockerfile.stages
    target = find_target(stages, session.options.target)
    bases = [
        base_name(session, stage) if index <= target else "" for index, stage in enumerate(stages)
    ]
    needed = needed_stages(stages, target, bases, _mount_origins)
    session.total = sum(1 + len(stages[index].instructions) for index in needed)
    session.total += len(session.dockerfile.arguments) + bool(session.options.labels)
    for argument in session.dockerfile.arguments:
        session.begin_step(argument.text)
    for index in needed:
        builder = StageBuilder(session, index, is_target=index == target)
        session.stages[index] = await builder.build()
    return session.stages[target]


def _mount_origins(run: Run) -> list[str]:
    """What the mounts of a RUN come from. It cannot be a variable."""
    return [mount_origin(text) for text in run.mounts]


def _finish(engine: Engine, state: StageState, tags: list[str]) -> Image:
    """Make the image, and let each name mean it."""
    names = [parse_reference(tag).with_default_tag() for tag in tags]
    image = engine.images.add_image(
        state.document(), state.descriptors, names[0] if names else None
    )
    for name in names[1:]:
        engine.images.name(image.manifest_digest, name)
    return engine.images.get(image.id)


def _cache_images(engine: Engine, names: list[str]) -> list[Image]:
    """The images of ``--cache-from`` that are there; as in Docker, others are no error."""
    found = []
    for name in names:
        try:
            found.append(engine.images.get(name))
        except ImageNotFoundError:
            continue
    return found
