"""One stage of a build, step by step."""

from __future__ import annotations

import asyncio
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cellcrate_runtime.engine.building import history
from cellcrate_runtime.engine.building.arguments import StageArguments
from cellcrate_runtime.engine.building.base_images import check_platform
from cellcrate_runtime.engine.building.caching import Done, StepCache, step_key
from cellcrate_runtime.engine.building.configuring import configure, set_default_path
from cellcrate_runtime.engine.building.copy_steps import add_request, copy_request, folder_request
from cellcrate_runtime.engine.building.errors import BuildError
from cellcrate_runtime.engine.building.run_steps import RunStep
from cellcrate_runtime.engine.building.session import Session
from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.dockerfile.errors import DockerfileError
from cellcrate_runtime.images.dockerfile.expanding import expand_instruction
from cellcrate_runtime.images.dockerfile.instructions import (
    Add,
    Arg,
    Copy,
    Instruction,
    Label,
    Run,
    Stage,
    Workdir,
)
from cellcrate_runtime.images.dockerfile.lexer import Style, expand
from cellcrate_runtime.images.dockerfile.parser import parse_instruction
from cellcrate_runtime.images.documents import History

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["StageBuilder", "base_name"]


def base_name(session: Session, stage: Stage) -> str:
    """What a stage begins with, its variables replaced.

    Raises:
        DockerfileError: It is nothing, or a substitution is wrong.
    """
    known = session.arguments.values
    style = Style(escape=session.dockerfile.escape)
    try:
        check_platform(expand(stage.platform, known, style))
        name = expand(stage.base, known, style)
    except DockerfileError as error:
        raise error.at(stage.line) from None
    if not name:
        raise DockerfileError(f"base name ({stage.base}) should not be blank", stage.line)
    return name


class StageBuilder:
    """Does the steps of one stage.

    Args:
        session: The build.
        index: The stage's number.
        is_target: Whether it is what the build is to make: it gets ``--label``.
    """

    def __init__(self, session: Session, index: int, *, is_target: bool) -> None:
        self._session = session
        self._index = index
        self._stage = session.dockerfile.stages[index]
        self._arguments = StageArguments(session.arguments)
        self._cache = StepCache(
            session.engine.images, not session.options.no_cache, session.cache_images
        )
        self._labels = session.options.labels if is_target else {}
        self._state = StageState.scratch("")

    async def build(self) -> StageState:
        """Do all steps.

        Raises:
            BuildError: A step failed.
            DockerfileError: An instruction makes no sense.
            ImageError: The base image is not to be had, or there is no room.
            EngineError: A container could not be made.
        """
        triggers = await self._begin()
        for text in triggers:
            try:
                instruction = parse_instruction(text, "\\")
            except DockerfileError as error:
                raise BuildError(f"ONBUILD {text}: {error.reason}") from error
            await self._step(replace(instruction, line=self._stage.line))
        for instruction in self._stage.instructions:
            self._session.begin_step(instruction.text)
            await self._step(instruction)
        if self._labels:
            pairs = tuple(sorted(self._labels.items()))
            text = "LABEL " + " ".join(f"{name}={value}" for name, value in pairs)
            self._session.begin_step(text)
            await self._configure(Label(line=0, text=text, pairs=pairs))
        return self._state

    async def _begin(self) -> list[str]:
        """Do the FROM; return what the base image has as ONBUILD."""
        session, stage = self._session, self._stage
        session.begin_step(stage.text)
        name = base_name(session, stage)
        seed = [f"epoch={session.latest}"]
        earlier = session.stage_called(name, self._index)
        if earlier is not None:
            self._state = earlier.following()
            session.say(f" ---> {_short(earlier.image_id())}\n")
        elif name.lower() == "scratch":
            self._state = StageState.scratch(step_key("", "scratch", seed))
        else:
            image = await session.image(name)
            self._state = StageState.of_image(image, step_key("", image.id, seed))
            session.say(f" ---> {image.short_id}\n")
        set_default_path(self._state)
        triggers = list(self._state.execution.on_build or [])
        self._state.execution.on_build = None
        if triggers:
            plural = "trigger" if len(triggers) == 1 else "triggers"
            session.say(f"# Executing {len(triggers)} build {plural}\n")
        return triggers

    async def _step(self, instruction: Instruction) -> None:
        try:
            if isinstance(instruction, Arg):
                await self._argue(instruction)
                return
            known = {**self._arguments.values, **self._state.environment}
            escape = self._session.dockerfile.escape
            meant = expand_instruction(instruction, known, escape)
            if isinstance(meant, Run):
                await self._run(meant)
            elif isinstance(meant, Copy | Add):
                await self._copy(meant)
            elif isinstance(meant, Workdir):
                await self._change_folder(meant)
            else:
                await self._configure(meant)
        except DockerfileError as error:
            raise error.at(instruction.line) from None

    # -- kinds of steps ------------------------------------------------------------------------

    async def _argue(self, instruction: Arg) -> None:
        self._arguments.declare(instruction, self._state.environment)
        await self._finish(history.describe(instruction, None))

    async def _configure(self, instruction: Instruction) -> None:
        value = configure(self._state, instruction)
        await self._finish(history.describe(instruction, value))

    async def _change_folder(self, instruction: Workdir) -> None:
        path = posixpath.join(self._state.execution.working_dir or "/", instruction.path)
        path = "/" + posixpath.normpath(path).lstrip("/")
        self._state.execution.working_dir = path
        request = folder_request(path, await self._lower(), self._session)
        file, _, entries = await self._session.plan_copies(request)
        make = (lambda: self._session.copied_layer(file)) if entries else None
        await self._finish(history.describe(instruction, path), make)

    async def _copy(self, instruction: Copy | Add) -> None:
        lower, folder = await self._lower(), self._state.execution.working_dir or "/"
        if isinstance(instruction, Copy):
            origin = await self._session.origin(instruction.origin, self._index)
            request = copy_request(instruction, origin, lower, folder, self._session)
        else:
            request = await add_request(instruction, lower, folder, self._session)
        file, digest, _ = await self._session.plan_copies(request)
        description = history.describe_copy(instruction, digest, request.destination)
        await self._finish(description, lambda: self._session.copied_layer(file))

    async def _run(self, instruction: Run) -> None:
        step = RunStep(self._session, self._index, self._state, self._arguments, instruction)
        await step.prepare()
        await self._finish(step.description, step.run, step.depends_on)

    # -- what all steps end with ---------------------------------------------------------------

    async def _finish(
        self,
        description: str,
        make: Callable[[], Awaitable[NewLayer]] | None = None,
        more: list[str] | None = None,
    ) -> None:
        """Do what a step does to files unless it was done before, and write the step down."""
        state, session = self._state, self._session
        key = step_key(state.key, description, more or [])
        done = await asyncio.to_thread(
            self._cache.find, key, description, state.diff_ids, state.descriptions
        )
        if done is not None:
            session.say(" ---> Using cache\n")
        else:
            layer = await make() if make is not None else None
            if layer is not None and layer.empty:
                layer = None  # as in Docker: an image can do without a layer that changes nothing
            done = Done(session.moment(), layer)
            await asyncio.to_thread(self._cache.keep, key, state.key, description, done)
        self._advance(key, description, done)
        session.say(f" ---> {_short(state.image_id())}\n")

    def _advance(self, key: str, description: str, done: Done) -> None:
        state = self._state
        state.key, state.created = key, done.created
        if done.layer is not None:
            state.layers.append(done.layer)
        state.history.append(
            History(
                created=done.created,
                created_by=description,
                author=state.author,
                empty_layer=done.layer is None,
            )
        )

    async def _lower(self) -> list[str]:
        return await self._session.lower(self._state)


def _short(image_id: str) -> str:
    return re.sub("^sha256:", "", image_id)[:12]
