"""What the steps of one build share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from cellcrate_runtime.engine import timestamps
from cellcrate_runtime.engine.building.arguments import GlobalArguments
from cellcrate_runtime.engine.building.base_images import find_image
from cellcrate_runtime.engine.building.copy_request import CopyRequest
from cellcrate_runtime.engine.building.errors import BuildError
from cellcrate_runtime.engine.building.options import BuildOptions
from cellcrate_runtime.engine.building.run_mounts import CacheFolders
from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.engine.building.telling import Teller
from cellcrate_runtime.engine.building.workspace import Workspace
from cellcrate_runtime.engine.files_client import WorkError
from cellcrate_runtime.engine.own_threads import feed
from cellcrate_runtime.images import Image
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.dockerfile.instructions import Stage
from cellcrate_runtime.images.dockerfile.parser import Dockerfile
from cellcrate_runtime.images.dockerfile.stages import find_stage

if TYPE_CHECKING:
    from cellcrate_runtime.engine.core import Engine

__all__ = ["Origin", "Session"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What files are copied or mounted from.

    Attributes:
        layers: Its folders, topmost first.
        name: What messages call it.
    """

    layers: list[str]
    name: str


@dataclass(slots=True, kw_only=True)
class Session:
    """One build.

    Attributes:
        id: The build's own id.
        engine: The engine.
        options: What was asked for.
        workspace: Its folders.
        dockerfile: The Dockerfile.
        arguments: The build arguments.
        caches: The folders of cache mounts.
        say: Told what the client is to read, in pieces.
        latest: SOURCE_DATE_EPOCH, in seconds since 1970; None without.
        total: How many steps there are.
        done: How many steps have begun.
        stages: The stages that are done, by their number.
        cache_images: The images of ``--cache-from``.
    """

    id: str
    engine: Engine
    options: BuildOptions
    workspace: Workspace
    dockerfile: Dockerfile
    arguments: GlobalArguments
    caches: CacheFolders
    say: Teller
    latest: int | None = None
    total: int = 0
    done: int = 0
    stages: dict[int, StageState] = field(default_factory=dict)
    cache_images: list[Image] = field(default_factory=list)

    def begin_step(self, text: str) -> None:
        """Tell that a step begins."""
        self.done += 1
        self.say(f"Step {self.done}/{self.total} : {text}\n")

    def moment(self) -> str:
        """When a step is done, as an image's history says it."""
        now = timestamps.now() if self.latest is None else self.latest * timestamps.SECOND
        return timestamps.format_rfc3339(now)

    def stage_called(self, name: str, before: int) -> StageState | None:
        """The stage of a name or number among those before one; None where it is no stage."""
        stages: list[Stage] = self.dockerfile.stages[:before]
        index = find_stage(stages, name)
        return None if index is None else self.stages[index]

    async def image(self, name: str) -> Image:
        """An image by name, packed or pulled where it is not there.

        Raises:
            ImageError: There is none.
        """
        return await find_image(self.engine, name, self.options, self.say)

    async def origin(self, name: str, before: int) -> Origin:
        """What ``--from`` names: a stage before this one, an image, or with no name the context.

        Raises:
            ImageError: There is no such image.
        """
        if not name:
            return Origin([str(self.workspace.context)], "build context")
        state = self.stage_called(name, before)
        if state is not None:
            return Origin(await self.lower(state), f"stage {name}")
        image = await self.image(name)
        folders = await asyncio.to_thread(self.engine.images.lower_dirs, image)
        return Origin([str(folder) for folder in folders], f"image {name}")

    async def lower(self, state: StageState) -> list[str]:
        """The folders of a stage's layers, topmost first."""
        images = self.engine.images
        folders = await asyncio.to_thread(images.unpack_layers, state.descriptors, state.diff_ids)
        return [str(folder) for folder in reversed(folders)]

    async def plan_copies(self, request: CopyRequest) -> tuple[str, str, int]:
        """Find out what is to be copied: the file of the request, a digest, and how many entries.

        Raises:
            BuildError: It cannot be copied.
        """
        path = self.workspace.file()
        await asyncio.to_thread(path.write_bytes, msgspec.msgpack.encode(request))
        files = self.engine.launcher.no_files()
        try:
            planned = await files.plan_copies(str(path))
        except WorkError as error:
            raise BuildError(error.message) from error
        return str(path), planned.digest, planned.entries

    async def copied_layer(self, request_file: str) -> NewLayer:
        """Put into the store what a request copies, as a layer.

        Raises:
            WorkError: It cannot be read.
            ImageError: There is no room for it.
        """
        files = self.engine.launcher.no_files()
        async with await files.pack_copies(request_file) as archive:
            return await feed(archive, self.engine.images.add_layer)

    def warn(self, lines: Sequence[str]) -> None:
        """Tell what works and should be otherwise."""
        for line in lines:
            self.say(f"[Warning] {line}\n")
