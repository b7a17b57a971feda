"""A RUN of a Dockerfile: its words, its mounts, and what its result depends on."""

from __future__ import annotations

import contextlib
import posixpath
import tempfile
from pathlib import Path

from cellcrate_runtime.engine.building import history
from cellcrate_runtime.engine.building.arguments import StageArguments
from cellcrate_runtime.engine.building.copy_request import CopyRequest
from cellcrate_runtime.engine.building.errors import BuildError
from cellcrate_runtime.engine.building.run_mounts import RunMounts, mount_secret
from cellcrate_runtime.engine.building.running import Program, run_program
from cellcrate_runtime.engine.building.session import Session
from cellcrate_runtime.engine.building.state import StageState
from cellcrate_runtime.engine.own_threads import feed
from cellcrate_runtime.images.additions import NewLayer
from cellcrate_runtime.images.dockerfile.heredocs import parse_heredoc
from cellcrate_runtime.images.dockerfile.instructions import Mount, Run
from cellcrate_runtime.images.dockerfile.mounts import parse_mount
from cellcrate_runtime.images.unpack import unpack_layer

__all__ = ["RunStep"]

_SCRIPT_FOLDER = "/dev/pipes"  # as BuildKit has it
_TMPFS_OPTIONS = "exec,suid,dev"


class RunStep:
    """One RUN.

    Attributes:
        description: The step, as the image's history shows it.
        depends_on: What else its result depends on, for the cache.
    """

    def __init__(
        self,
        session: Session,
        stage: int,
        state: StageState,
        arguments: StageArguments,
        instruction: Run,
    ) -> None:
        self._session = session
        self._stage = stage
        self._state = state
        self._instruction = instruction
        self._mounts = [parse_mount(text) for text in instruction.mounts]
        self._variables = arguments.for_run()
        self._script = ""
        self._words = self._find_words()
        self._requests: dict[int, str] = {}
        known = arguments.for_cache(state.environment)
        self.description = history.describe_run(known, self._words)
        self.depends_on = [f"network={self._network()}", f"script={self._script}"]

    async def prepare(self) -> None:
        """Look at what is mounted: the result depends on its content.

        Raises:
            BuildError: Something that is to be mounted is not there.
        """
        for number, mount in enumerate(self._mounts):
            # A secret's value is never a part of a key; that there is a mount of it is.
            self.depends_on.append(f"mount={self._instruction.mounts[number]}")
            if mount.kind == "cache" and mount.origin:
                raise BuildError(
                    "RUN --mount=type=cache,from= is not supported: a cache begins empty. Fill it "
                    "in the RUN itself, from a mount of type bind"
                )
            if mount.kind == "bind":
                request = await self._bind_request(mount)
                self._requests[number], digest, _ = await self._session.plan_copies(request)
                self.depends_on.append(f"content={digest}")

    async def run(self) -> NewLayer:
        """Run the program.

        Raises:
            BuildError: It failed.
            EngineError: It could not be started.
        """
        async with contextlib.AsyncExitStack() as held:
            program = Program(
                words=self._words,
                shown=" ".join(self._words),
                variables=self._variables,
                network=self._network(),
                mounts=await self._mount_all(held),
                host=self._session.options.host,
                latest=self._session.latest,
            )
            return await run_program(
                self._session.engine, self._state, program, self._session.id, self._session.say
            )

    def _find_words(self) -> list[str]:
        """The program: heredocs are the script where nothing else is, and else the shell's."""
        instruction, shell = self._instruction, self._state.shell
        if not instruction.command.shell:
            return list(instruction.command.words)
        line = instruction.command.words[0]
        if not instruction.heredocs:
            return [*shell, line]
        first = instruction.heredocs[0]
        if parse_heredoc(line) is None:
            bodies = "".join(f"\n{one.content}{one.name}" for one in instruction.heredocs)
            return [*shell, line + bodies]
        if first.text.startswith("#!"):
            self._script = first.text
            return [f"{_SCRIPT_FOLDER}/{first.name}"]
        return [*shell, first.text]

    def _network(self) -> str:
        """No network unless one is asked for: there is none yet that leads anywhere."""
        asked = self._instruction.network or self._session.options.host.network_mode
        return "none" if asked in ("", "default", "none", "bridge") else asked

    # -- mounts --------------------------------------------------------------------------------

    async def _mount_all(self, held: contextlib.AsyncExitStack) -> RunMounts:
        mounts = RunMounts()
        session = self._session
        for number, mount in enumerate(self._mounts):
            target = posixpath.join(self._state.execution.working_dir or "/", mount.target)
            if mount.kind == "cache":
                folder = await held.enter_async_context(session.caches.use(mount, target))
                mounts.bind(folder, target, read_only=mount.read_only)
            elif mount.kind == "tmpfs":
                size = f",size={mount.size}" if mount.size else ""
                mounts.tmpfs[target] = _TMPFS_OPTIONS + size
            elif mount.kind == "secret":
                mount_secret(mounts, mount, session.options.secrets, session.workspace.secrets)
            else:
                source = await self._materialised(self._requests[number])
                mounts.bind(source, target, read_only=mount.read_only)
        if self._script:
            path = Path(tempfile.mkdtemp(dir=session.workspace.scratch)) / "script"
            path.write_text(self._script)
            path.chmod(0o755)
            mounts.bind(path, self._words[0], read_only=True)
        return mounts

    async def _bind_request(self, mount: Mount) -> CopyRequest:
        origin = await self._session.origin(mount.origin, self._stage)
        return CopyRequest(
            keyword="RUN --mount=type=bind",
            base=[],
            origin=origin.layers,
            where=origin.name,
            sources=[mount.source or "."],
            destination="/source",
        )

    async def _materialised(self, request_file: str) -> Path:
        """Copy what is to be mounted: what the program writes there is lost, as in Docker."""
        folder = Path(tempfile.mkdtemp(dir=self._session.workspace.scratch))
        folder.chmod(0o755)
        files = self._session.engine.launcher.no_files()
        async with await files.pack_copies(request_file) as archive:
            await feed(archive, lambda source: unpack_layer(source, folder))
        return folder / "source"
