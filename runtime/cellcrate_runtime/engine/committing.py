"""Making an image of a container: ``docker commit``.

Source: moby, daemon/commit.go and daemon/images/image_commit.go.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.api.types import ContainerConfig, without_nulls
from cellcrate_runtime.engine.container import Container, Status
from cellcrate_runtime.engine.container_files import files_of
from cellcrate_runtime.engine.creating import complete
from cellcrate_runtime.engine.errors import ConflictError, EngineError
from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.engine.own_threads import entered, feed, in_own_thread
from cellcrate_runtime.engine.ownership import OWNER_LABEL
from cellcrate_runtime.engine.shim_client import ShimError
from cellcrate_runtime.engine.stopping import pause, unpause
from cellcrate_runtime.images import Execution, Image, ImageNotFoundError
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.documents import History, ImageConfig, RootFS
from cellcrate_runtime.images.references import Reference

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Commit", "commit", "execution_of", "layer_of"]

_log = logging.getLogger("cellcrate.images")


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What is asked for beside the container.

    Attributes:
        name: The image's name; None for none.
        config: How the image's containers run; what it does not say, the container does.
        changes: Instructions of a Dockerfile that change that.
        pause: Whether the container's processes stand still meanwhile.
    """

    name: Reference | None = None
    config: ContainerConfig | None = None
    changes: list[str] = field(default_factory=list)
    comment: str = ""
    author: str = ""
    pause: bool = True


async def commit(engine: Engine, container: Container, request: Commit) -> Image:
    """Make an image of what a container has changed, upon the image that it was made from.

    Raises:
        ConflictError: The container is being removed, or its image was removed by force.
        DockerfileError: A change is none. Nothing was made.
        EngineError: The container has files that no layer can tell of, or they cannot be read.
        ImageError: There is no room for the image.
    """
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise ConflictError(
            f"You cannot commit container {container.id} which is {container.state.status.value}"
        )
    execution = _execution(container.config, request)
    base = _base(engine, container)
    async with entered(engine.images.adding()):
        async with _standing_still(engine, container, request.pause):
            layer = await layer_of(engine, container)
        config = _configuration(base, execution, layer, container.config, request)
        layers = [*base.manifest.layers, *([] if layer.empty else [layer.descriptor])]
        image = await in_own_thread(
            lambda: engine.images.add_image(config, layers, request.name, base.id)
        )
    reference = request.name.familiar if request.name else ""
    engine.publish(
        container, "commit", comment=request.comment, imageID=image.id, imageRef=reference
    )
    if reference:
        engine.events.publish("image", "tag", image.id, {"name": reference})
    return image


async def layer_of(
    engine: Engine,
    container: Container,
    latest: int | None = None,
    unchanged: Sequence[str] = (),
) -> NewLayer:
    """Put what a container's writable layer holds into the store, as a layer.

    Call it in ``entered(engine.images.adding())``: nothing names the layer yet. A container that
    runs should be paused meanwhile, or what it writes may be in the layer in part.

    Args:
        engine: The engine.
        container: A container, running or not.
        latest: No file of the layer is to be later than this, in seconds since 1970.
        unchanged: Folders that are no changes in themselves, beside those of mount points.

    Raises:
        EngineError: The container has files that no layer can tell of, or they cannot be read.
        ImageError: There is no room for the layer, or the container's image is damaged.
    """
    try:
        files = await files_of(engine, container)
        async with await files.pack_layer(latest, unchanged) as archive:
            return await feed(archive, engine.images.add_layer)
    except (WorkError, ShimError) as error:
        kind = ConflictError if error.kind == "invalid" else EngineError
        raise kind(f"container {container.name} cannot become an image: {error.message}") from error


def execution_of(config: ContainerConfig) -> Execution:
    """The part of a container's configuration that an image has, without what is not set."""
    members = msgspec.to_builtins(config)
    names = {member.encode_name for member in msgspec.structs.fields(Execution)}
    # A number says something also if it is 0; all else that is empty is what was not set.
    given = {n: v for n, v in members.items() if n in names and (v or type(v) is int)}
    return msgspec.convert(given, Execution)


def _execution(below: ContainerConfig, request: Commit) -> Execution:
    """How the image's containers run: what was asked for, over what the container's own does."""
    # Which process a container ends with is nothing of its image.
    labels = {name: value for name, value in below.labels.items() if name != OWNER_LABEL}
    ground = execution_of(msgspec.structs.replace(below, labels=labels))
    # Imported for those who commit: the language of Dockerfiles takes a moment.
    from cellcrate_runtime.images.configuring import configured

    wanted = configured(execution_of(request.config) if request.config else ground, request.changes)
    config = msgspec.convert(without_nulls(msgspec.to_builtins(wanted)), ContainerConfig)
    complete(config, ground)
    return execution_of(config)


def _base(engine: Engine, container: Container) -> Image:
    try:
        return engine.images.get(container.definition.image)
    except ImageNotFoundError as error:
        raise ConflictError(
            f"container {container.name} cannot be committed: the image that it was made from was "
            "removed by force. Its files can still be had: docker export, docker import"
        ) from error


def _configuration(
    base: Image, execution: Execution, layer: NewLayer, ran: ContainerConfig, request: Commit
) -> ImageConfig:
    created = timestamps.format_rfc3339(timestamps.now())
    step = History(
        created=created,
        created_by=" ".join(ran.cmd or []) or None,
        author=request.author or None,
        comment=request.comment or None,
        empty_layer=layer.empty,
    )
    new = [] if layer.empty else [layer.diff_id]
    return msgspec.structs.replace(
        base.config,
        created=created,
        author=request.author or None,
        docker_version=None,
        config=execution,
        rootfs=RootFS(diff_ids=[*base.diff_ids, *new]),
        history=[*(base.config.history or []), step],
    )


@contextlib.asynccontextmanager
async def _standing_still(
    engine: Engine, container: Container, wanted: bool
) -> AsyncIterator[None]:
    """Pause a container that runs, where this machine can: without, as Docker does, go on."""
    if not wanted or container.state.status is not Status.RUNNING:
        yield
        return
    try:
        await pause(engine, container)
    except EngineError as error:
        _log.warning("container %s is committed while it runs: %s", container.name, error.message)
        yield
        return
    try:
        yield
    finally:
        # Somebody else may have let it go on, or it was killed.
        with contextlib.suppress(ConflictError):
            await unpause(engine, container)
